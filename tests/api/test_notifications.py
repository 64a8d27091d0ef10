"""Notifications by oslo.messaging: its messages, by its own in-memory transport."""

from __future__ import annotations

import logging
import queue
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import oslo_messaging
import pytest
from api_helpers import Running, run_service

from refloat.api.server import make_deliveries
from refloat.errors import InvalidInput
from refloat.notify.delivery import Delivery
from refloat.notify.messaging import Notifier
from refloat.records.outbox import Outbox


def configured(folder: Path, *lines: str) -> Running:
    file = folder / "refloat.conf"
    file.write_text("\n".join(["[oslo_messaging_notifications]", *lines, ""]))
    return run_service(folder, files=[file])


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    running = configured(tmp_path, "driver = messagingv2", "transport_url = fake://", "topics = told")
    yield running
    running.close()


class Endpoint:
    """What came, by priority."""

    def __init__(self) -> None:
        self.came: queue.Queue[dict[str, Any]] = queue.Queue()

    def info(self, _context: Any, publisher: str, event_type: str, payload: Any, metadata: Any) -> None:
        self.came.put({"publisher": publisher, "type": event_type, "payload": payload, **metadata})

    def error(self, *given: Any) -> None:
        self.info(*given)
        self.came.queue[-1]["priority"] = "error"


def test_a_consumer_hears_of_operations(service: Running) -> None:
    deliveries = make_deliveries(service.deployment)
    transport = oslo_messaging.get_notification_transport(service.deployment.conf)
    endpoint = Endpoint()
    targets = [oslo_messaging.Target(topic="told")]
    listener = oslo_messaging.get_notification_listener(transport, targets, [endpoint], executor="threading")
    listener.start()
    deliveries.start()
    try:
        service.work()
        member = service.user()
        checkpoint = member.protected()
        start, end = (endpoint.came.get(timeout=60) for _ in range(2))
        assert (start["type"], end["type"]) == ("data_protect.protect.start", "data_protect.protect.end")
        assert start["publisher"].startswith("data_protect.")
        assert start["message_id"] != end["message_id"]
        assert end["payload"]["checkpoint_id"] == checkpoint["id"]
        assert end["payload"]["state"] == "succeeded"
        database = service.deployment.database
        with database.session() as session:
            Outbox.put(session, ["notifications"], "data_protect.restore.error", "o", {"state": "failed"})
        assert endpoint.came.get(timeout=60)["priority"] == "error"
    finally:
        deliveries.close()
        listener.stop()
        listener.wait()


def test_what_the_bus_does_not_take_is_sent_again_with_the_same_id(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(service.deployment.database)
    notifier = Notifier(service.deployment.conf, "data_protect.here")
    sent: list[str] = []

    def send(_target: Any, _context: Any, message: Any, **_more: Any) -> None:
        sent.append(message["message_id"])
        if len(sent) == 1:
            raise ConnectionError("the bus is away")

    monkeypatch.setattr(notifier._transport, "_send_notification", send)
    with service.deployment.database.session() as session:
        outbox.put(session, ["notifications"], "data_protect.protect.start", "o", {})
    delivery = Delivery(outbox, notifier, 3)
    assert not delivery.carry_one()
    assert "the bus is away" in outbox.left()[0].reason
    outbox.try_again()
    assert delivery.carry_one()
    assert sent[0] == sent[1]
    assert outbox.left() == []


def test_the_driver_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    service = configured(tmp_path, "driver = log")
    outbox = Outbox(service.deployment.database)
    with service.deployment.database.session() as session:
        outbox.put(session, ["notifications"], "data_protect.protect.start", "o", {"state": "running"})
    with caplog.at_level(logging.INFO):
        assert Delivery(outbox, Notifier(service.deployment.conf, "data_protect.here"), 3).carry_one()
    service.close()
    assert "data_protect.protect.start" in caplog.text


@pytest.mark.parametrize("driver", ["noop", ""])
def test_it_is_off_by_default(tmp_path: Path, driver: str) -> None:
    service = configured(tmp_path, *([f"driver = {driver}"] if driver else []))
    assert service.deployment.told == {}
    service.close()


def test_what_cannot_work_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = configured(tmp_path, "driver = pigeon")
    with pytest.raises(InvalidInput, match="pigeon"):
        make_deliveries(service.deployment)
    monkeypatch.setitem(sys.modules, "oslo_messaging", None)
    with pytest.raises(InvalidInput, match=r"refloat\[notifications\]"):
        make_deliveries(service.deployment)
    service.close()
