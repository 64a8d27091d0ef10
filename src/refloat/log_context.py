"""What a line of a log is about: the request, operation, project and resource that a thread works on.

Whoever begins to work on something says so with :func:`about`; formatters of logs ask :func:`known`.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

FIELDS = ("request_id", "operation_id", "project_id", "resource")
"""What may be known; of what is not known, a line has null."""

_known: ContextVar[dict[str, str]] = ContextVar("refloat_about")
_NOTHING: dict[str, str] = {}


class about:  # noqa: N801 - used as a function; one made of a generator costs more than most steps do
    """What is done inside is about this, and about what was known already. Empty values say nothing."""

    __slots__ = ("_fields", "_token")

    def __init__(self, **fields: str) -> None:
        self._fields = fields

    def __enter__(self) -> None:
        now = dict(_known.get(_NOTHING))
        for name, value in self._fields.items():
            if value:
                now[name] = value
        self._token = _known.set(now)

    def __exit__(self, *_error: object) -> None:
        _known.reset(self._token)


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
