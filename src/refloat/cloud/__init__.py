"""The only door to OpenStack: sessions, kinds, waiting, limits, markers."""
