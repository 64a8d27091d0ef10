"""A Python SDK of the service, in openstacksdk's style::

    import refloat.client

    service = refloat.client.connect(cloud="mycloud").data_protect
    for plan in service.plans():
        print(plan.name)

or, with a connection there is already: ``connection.add_service(refloat.client.DataProtect())``.
"""

from __future__ import annotations

from typing import Any

import openstack
from openstack.connection import Connection
from openstack.service_description import ServiceDescription

from refloat.client.proxy import Proxy

SERVICE_TYPE = "data-protect"


class DataProtect(ServiceDescription[Proxy]):
    """What ``Connection.add_service`` takes."""

    supported_versions = {"1": Proxy}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__(SERVICE_TYPE)


def connect(cloud: str | None = None, *, endpoint: str | None = None, **more: Any) -> Connection:
    """A connection whose attribute ``data_protect`` is the service's :class:`Proxy`.

    :param cloud: an entry of ``clouds.yaml``; None: ``OS_CLOUD`` or the ``OS_*`` variables.
    :param endpoint: where the service is, rather than where the catalog says; see :func:`endpoint_of`.
    :param more: passed on to :func:`openstack.connect`.
    """
    if endpoint is not None:
        more["data_protect_endpoint_override"] = endpoint_of(endpoint)
    connection = openstack.connect(cloud=cloud, **more)
    add_to(connection)
    return connection


def add_to(connection: Connection) -> Proxy:
    """Give a connection the attribute ``data_protect``; the service's proxy."""
    connection.add_service(DataProtect())
    found: Proxy = connection.data_protect  # type: ignore[attr-defined]
    return found


def connect_as(cloud: str | None, endpoint: str | None) -> Proxy:
    """The service's proxy, for one user.

    :param endpoint: None: as the catalog says.
    :raises InvalidInput: there is no such cloud.
    :raises CloudError: the credentials are refused, or the cloud has no such service.
    """
    from keystoneauth1 import exceptions as ka_exceptions
    from openstack import exceptions as sdk_exceptions

    from refloat.client.errors import told
    from refloat.errors import InvalidInput

    try:
        with told("log in to the cloud"):
            connection = connect(cloud, endpoint=endpoint, app_name="refloat")
            connection.authorize()
            return add_to(connection)
    except (sdk_exceptions.ConfigException, ka_exceptions.MissingRequiredOptions) as exc:
        raise InvalidInput(
            "no cloud to work with",
            reason=str(exc),
            advice="Name an entry of clouds.yaml with --os-cloud or OS_CLOUD",
        ) from exc


def endpoint_of(url: str) -> str:
    """The endpoint of a service of which only the beginning of the URL may be given.

    ``http://host:8799`` becomes ``http://host:8799/v1/%(project_id)s``, of which keystoneauth makes an
    endpoint for the project of the token.
    """
    whole = url.rstrip("/").replace("$(", "%(")
    if whole.endswith("/v1"):
        return f"{whole}/%(project_id)s"
    return whole if "/v1/" in whole else f"{whole}/v1/%(project_id)s"
