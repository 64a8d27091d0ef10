"""How many hooks may use a service, or copy from bank to bank, at once.

Most of a server's hook is waiting for Nova to build it. Nova spreads that over its hosts, and limits it for
each of them (``max_concurrent_builds``, 10).
"""

LANES = {"nova": 24, "cinder": 8, "glance": 2, "neutron": 8, "bank": 2}
