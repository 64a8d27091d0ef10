"""The only door to OpenStack: sessions, kinds, waiting, limits, markers."""

from refloat.cloud.connection import Cloud, CloudWait, StatusWait, cloud_knows, explained
from refloat.cloud.marker import Marker, unmarked

__all__ = ["Cloud", "CloudWait", "Marker", "StatusWait", "cloud_knows", "explained", "unmarked"]
