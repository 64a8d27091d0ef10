"""For WSGI servers: ``refloat.wsgi:application``, configured by ``REFLOAT_CONFIG`` or in ``/etc/refloat``.

The application is made at the first request, in the process that answers it: servers fork after loading this.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

_lock = threading.Lock()
_made: list[Callable[..., Iterable[bytes]]] = []


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a request."""
    with _lock:
        if not _made:
            from refloat.api import config
            from refloat.api.app import make_application
            from refloat.api.deployment import Deployment
            from refloat.log_context import set_up_logs

            conf = config.load()
            set_up_logs(conf)
            _made.append(make_application(Deployment(conf)))
    return _made[0](environ, start_response)
