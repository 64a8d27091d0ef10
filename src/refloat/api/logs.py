"""Logs as JSON, a line each, in the form of oslo.log."""

from __future__ import annotations

import logging
from typing import Any

from refloat.log_context import Context


def set_up(conf: Any) -> None:
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
