"""What can be protected: one folder per kind. ``base`` is the contract plugin authors read."""
