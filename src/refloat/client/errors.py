"""What the service refuses, as errors that people can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from keystoneauth1 import exceptions as ka_exceptions
from openstack import exceptions as sdk_exceptions

from refloat.cloud.errors import explain
from refloat.errors import Conflict, InvalidInput, NotFound

Missing = sdk_exceptions.NotFoundException

_KINDS = {400: InvalidInput, 404: NotFound, 409: Conflict, 424: Conflict}


@contextmanager
def told(what: str, resource: object = "") -> Iterator[None]:
    """Run calls to the service; say in any error what was attempted and on what.

    :param what: the attempt as a phrase that follows "could not": ``create the plan``.
    """
    try:
        yield
    except (sdk_exceptions.SDKException, ka_exceptions.ClientException) as exc:
        found = explain(exc, what, resource)
        kind = _KINDS.get(getattr(exc, "status_code", None) or 0)
        if kind is not None:
            # The service's words say it all; those at the command line are the same.
            raise kind(found.reason, request_id=found.request_id) from exc
        raise found from exc


__all__ = ["Missing", "told"]
