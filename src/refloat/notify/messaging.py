"""Notifications by oslo.messaging. Needs the extra ``refloat[notifications]``.

The drivers are those of ``[oslo_messaging_notifications]``. Oslo's own Notifier only logs when a message
could not be sent, and gives each try another id; so its drivers are used here without it.
"""

from __future__ import annotations

import logging
from typing import Any

from oslo_config import cfg

from refloat.errors import InvalidInput
from refloat.notify.delivery import Undelivered
from refloat.records.outbox import Notice

_LOG = logging.getLogger(__name__)

NAME = "notifications"
"""What the destination is called."""
GROUP = "oslo_messaging_notifications"
_MESSAGING = {"messaging": 1.0, "messagingv2": 2.0}
"""Drivers that send messages, and the version of the envelope."""
_SERIOUS = (".error", ".authority_lost", ".missing", ".nothing_deleted", ".altered")


def wanted(conf: Any) -> list[str]:
    """The drivers that the configuration names: none, unless the operator has said so."""
    # A configuration of its own: the library's options, which are loaded only when they are needed, are not
    # the same in every word, and would then be refused.
    own = cfg.ConfigOpts()
    own.register_opt(cfg.MultiStrOpt("driver", default=[]), group=GROUP)
    own([], project="refloat", default_config_files=conf.config_file or conf.default_config_files)
    return [name for name in own[GROUP].driver if name != "noop"]


class Notifier:
    """Sends notices as OpenStack's notifications.

    :param conf: the configuration (oslo.config).
    :param publisher_id: ``data_protect.HOST``.
    :raises InvalidInput: the library is not installed, or has no such driver.
    """

    name = NAME
    patience = 60.0

    def __init__(self, conf: Any, publisher_id: str) -> None:
        drivers = wanted(conf)
        try:
            import oslo_messaging
            from stevedore import NamedExtensionManager
        except ImportError as exc:
            raise InvalidInput(
                "notifications are not installed",
                reason=str(exc),
                advice="pip install 'refloat[notifications]'",
            ) from exc
        self._publisher_id = publisher_id
        try:
            self._transport = oslo_messaging.get_notification_transport(conf)
        except Exception as exc:  # of several libraries, without a common parent
            raise InvalidInput(f"[{GROUP}] cannot work", reason=str(exc)) from exc
        self._target = oslo_messaging.Target
        self._topics = list(conf[GROUP].topics)
        self._versions = [_MESSAGING[name] for name in drivers if name in _MESSAGING]
        names = [name for name in drivers if name not in _MESSAGING]
        found: NamedExtensionManager[Any] = NamedExtensionManager(
            "oslo.messaging.notify.drivers",
            names=names,
            invoke_on_load=True,
            invoke_args=(conf,),
            invoke_kwds={"topics": self._topics, "transport": self._transport},
        )
        missing = set(names) - set(found.names())
        if missing:
            raise InvalidInput(f"[{GROUP}] names a driver that there is not: {sorted(missing)[0]}")
        self._others: list[Any] = [extension.obj for extension in found]

    def carry(self, notice: Notice) -> None:
        """Send it. :raises Undelivered: a driver could not."""
        priority = "ERROR" if notice.event_type.endswith(_SERIOUS) else "INFO"
        message = {
            "message_id": notice.id,
            "publisher_id": self._publisher_id,
            "event_type": notice.event_type,
            "priority": priority,
            "payload": {**notice.data, "sequence": notice.number},
            "timestamp": str(notice.created_at),
        }
        try:
            for version in self._versions:
                for topic in self._topics:
                    target = self._target(topic=f"{topic}.{priority.lower()}")
                    # What the library's drivers call; they hide what it raises.
                    self._transport._send_notification(target, {}, message, version=version, retry=0)
            for driver in self._others:
                driver.notify({}, message, priority, 0)
        except Exception as exc:  # of several libraries, without a common parent
            raise Undelivered(f"{type(exc).__name__}: {' '.join(str(exc).split())}") from exc

    def close(self) -> None:
        self._transport.cleanup()
