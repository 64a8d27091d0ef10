"""What the routes do: one module for each resource, each handler one request."""
