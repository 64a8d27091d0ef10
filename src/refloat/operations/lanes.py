"""How many hooks may use a service, or copy from bank to bank, at once."""

LANES = {"nova": 8, "cinder": 8, "glance": 2, "neutron": 8, "bank": 2}
