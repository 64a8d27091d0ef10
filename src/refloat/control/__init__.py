"""The one way in: submitting operations, acting on them, writing down their ends; the worker."""
