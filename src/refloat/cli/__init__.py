"""The ``refloat`` command."""
