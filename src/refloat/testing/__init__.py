"""Doubles and fault wrappers for the tests of plugins and of Refloat itself; no part of the product."""
