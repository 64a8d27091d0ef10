"""The nouns of the API, a module for each: its schemas, how a row is told, its handlers, rules and routes."""
