"""The REST service: Karbor's API v1 (WSGI). Routes, schemas, policies, views."""
