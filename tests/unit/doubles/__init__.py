"""Small servers that answer as Keystone, Cinder, Manila, Trove and Kubernetes do, as far as Refloat asks.

Real ones of the last three are not to be had on every machine that runs the tests.
"""
