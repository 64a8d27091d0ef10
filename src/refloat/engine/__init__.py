"""Runs a DAG of steps durably: resume, undo, cancel, progress. Knows nothing of OpenStack."""
