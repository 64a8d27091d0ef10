"""Refloat protects whole OpenStack applications and brings them back."""

__version__ = "0.2.0.dev0"
