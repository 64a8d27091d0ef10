"""Tells others what becomes of operations and schedules."""
