"""What a line of a log is about: the request, operation, project and resource that a thread works on.

Whoever begins to work on something says so with :func:`about`; formatters of logs ask :func:`known`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

FIELDS = ("request_id", "operation_id", "project_id", "resource")
"""What may be known; of what is not known, a line has null."""

_known: ContextVar[dict[str, str]] = ContextVar("refloat_about")


@contextmanager
def about(**fields: str) -> Iterator[None]:
    """What is done inside is about this, and about what was known already. Empty values say nothing."""
    token = _known.set(known() | {name: value for name, value in fields.items() if value})
    try:
        yield
    finally:
        _known.reset(token)


def note(**fields: str) -> None:
    """From now on, until the innermost :func:`about` ends, this is known too."""
    known().update({name: value for name, value in fields.items() if value})


def known() -> dict[str, str]:
    return _known.get({})


class Context(logging.Filter):
    """Gives every record of a handler what its line is about, where oslo.log's formatters look for it."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.context = dict.fromkeys(FIELDS) | known()
        return True


def set_up_logs(conf: Any) -> None:
    """If the configuration says so, have this process log JSON: as it logged before, or to stderr."""
    if not conf.use_json:
        return
    from oslo_log.formatters import JSONFormatter

    root = logging.getLogger()
    if not root.handlers:  # no command, but a WSGI server has loaded us
        root.addHandler(logging.StreamHandler())
    for handler in root.handlers:
        handler.setFormatter(JSONFormatter())
        handler.addFilter(Context())
