"""A real OpenStack on the loopback of one machine, for development and tests. See docs/devcloud.md."""
