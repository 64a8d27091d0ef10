"""Triggers, scheduled operations and retention: what happens by itself, and when."""
