"""The main job on a real cloud: an application is built, protected, lost and restored, and compared.

Refloat is driven as its users drive it, through the ``refloat`` command. What the cloud holds is read
through openstacksdk and the guests' consoles, by code of this package's own.
"""
