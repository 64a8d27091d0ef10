"""Protect, restore, verify, copy and delete: a graph and a provider become a DAG of hooks."""
