"""What is told to others: notifications, and signed webhooks. The receivers are real, on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from api_helpers import NOOP, Running, run_service
from receiver import GUIDE, Receiver, receiving, secret_file, verified
from sqlalchemy import update
from test_operations import act, broken, ended, wanted
from test_schedules import run_now, scheduled, trigger

from refloat.api import config
from refloat.api.server import make_deliveries
from refloat.cli import manage
from refloat.control import purge
from refloat.database import now
from refloat.engine.program import Milestone
from refloat.errors import Conflict, InvalidInput, RefloatError
from refloat.notify.delivery import Delivery
from refloat.notify.events import EVENT_TYPES, Notices
from refloat.notify.webhooks import Webhook
from refloat.records.outbox import Outbox
from refloat.records.schedule_tables import ScheduleRow
from refloat.records.tables import NoticeRow

WHSEC = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def configured(folder: Path, receiver: Receiver, **options: Any) -> Running:
    """The service with a webhook, whose deliveries are not started."""
    lines = {"url": f"http://127.0.0.1:{receiver.port}/hook?token=t", "secret_file": secret_file(folder)}
    file = folder / "refloat.conf"
    text = "".join(f"{name} = {value}\n" for name, value in (lines | options).items())
    file.write_text(f"[notifications]\nwebhooks = ops\n[webhook_ops]\n{text}")
    return run_service(folder, files=[file])


@pytest.fixture
def service(tmp_path: Path, receiver: Receiver) -> Iterator[Running]:
    running = configured(tmp_path, receiver)
    yield running
    running.close()


@pytest.fixture
def outbox(service: Running) -> Outbox:
    return Outbox(service.deployment.database)


def delivery(service: Running, tries: int = 3) -> Delivery:
    """The webhook's, in this thread."""
    (webhook,) = config.webhooks(service.deployment.conf)
    return Delivery(Outbox(service.deployment.database), webhook, tries)


def carried(service: Running) -> None:
    """All that is due is told."""
    one = delivery(service)
    while one.carry_one():
        continue


def types(outbox: Outbox) -> list[str]:
    return [notice.event_type.removeprefix("data_protect.") for notice in outbox.left()]


def put(outbox: Outbox, database: Any, what: str = "protect.start", subject: str = "o1") -> None:
    with database.session() as session:
        outbox.put(session, ["ops"], f"data_protect.{what}", subject, {"operation_id": subject})


# --- what is told


def test_an_operation_is_told_of_from_start_to_end(service: Running, receiver: Receiver) -> None:
    deliveries = make_deliveries(service.deployment)
    deliveries.start()
    try:
        service.work()
        member = service.user()
        plan = member.plan("shop")
        checkpoint = member.protected(plan)
        assert receiver.until(2) == ["protect.start", "protect.end"]
    finally:
        deliveries.close()
    start, end = receiver.messages
    for headers, body in zip(receiver.headers, receiver.bodies, strict=True):
        verified(WHSEC, headers, body)
        with pytest.raises(ValueError, match="not signed"):
            verified("whsec_" + "A" * 44, headers, body)
        with pytest.raises(ValueError, match="not signed"):
            verified(WHSEC, headers, body + b" ")
    assert receiver.paths == ["/hook?token=t"] * 2
    assert start["id"] != end["id"]
    assert start["sequence"] < end["sequence"]
    assert (start["data"]["state"], end["data"]["state"]) == ("running", "succeeded")
    assert end["data"] == start["data"] | {
        "state": "succeeded",
        "ended_at": end["data"]["ended_at"],
        "checkpoint_id": checkpoint["id"],
        "plan_id": plan["id"],
        "plan_name": "shop",
        "error": None,
    }
    with pytest.raises(ValueError, match="too old"):
        verified(WHSEC, receiver.headers[0] | {"webhook-timestamp": "1700000000"}, receiver.bodies[0])
    assert start["data"]["began_at"] <= end["data"]["ended_at"]


def test_every_kind_of_end_is_told(service: Running, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    member = service.user()
    member.protect(member.plan())
    (first,) = member("GET", "operations").body["operations"]
    act(member, first["id"], "cancel")
    service.work()
    ended(member, first["id"])
    assert types(outbox) == ["protect.cancelled"]  # it never began
    checkpoint = member.protected()
    assert types(outbox)[1:] == ["protect.start", "protect.end"]
    mend = broken(monkeypatch)
    body = {"restore": wanted(checkpoint, parameters={})}
    failed = member("POST", "restores", body).body["restore"]
    ended(member, failed["id"])
    assert types(outbox)[3:] == ["restore.start", "restore.error"]
    error = outbox.left()[-1].data["error"]
    assert "no room" in f"{error}"
    kept = member("POST", "restores", {"restore": body["restore"] | {"keep_on_failure": True}})
    identity = kept.body["restore"]["id"]
    ended(member, identity)
    assert types(outbox)[5:] == ["restore.start", "restore.parked"]
    mend()
    act(member, identity, "resume")
    ended(member, identity, "succeeded")
    assert types(outbox)[7:] == ["restore.end"]  # no second start
    member("DELETE", f"providers/{NOOP}/checkpoints/{checkpoint['id']}")
    member.until("operations?type=delete", lambda found: found[0]["status"] == "succeeded")
    assert types(outbox)[8:] == ["delete.start", "delete.end"]
    assert {notice.event_type for notice in outbox.left()} <= set(EVENT_TYPES)


def test_a_dry_run_is_not_told_of(service: Running, outbox: Outbox) -> None:
    service.work()
    member = service.user()
    checkpoint = member.protected()
    body = {"type": "restore", "dry_run": True, "provider_id": NOOP, "checkpoint_id": checkpoint["id"]}
    made = member("POST", "operations", {"operation": body}).body["operation"]
    ended(member, made["id"])
    assert types(outbox) == ["protect.start", "protect.end"]


def test_a_verification_that_finds_something_bad_has_failed(service: Running, outbox: Outbox) -> None:
    member = service.user()
    member.protect(member.plan())
    (queued,) = service.deployment.operations.unfinished()
    operation = service.deployment.operations.get(queued.id)
    with service.deployment.database.session() as session:
        verify = operation.__class__(**{**_fields(operation), "kind": "verify"})
        service.deployment.notices.ended(session, verify, "succeeded", {"status": "bad"}, None)
    assert types(outbox) == ["verify.error"]
    assert "something bad" in outbox.left()[0].data["error"]["message"]


def _fields(operation: Any) -> dict[str, Any]:
    return {name: getattr(operation, name) for name in operation.__slots__}


def test_what_is_written_down_twice_is_told_once(service: Running, outbox: Outbox) -> None:
    member = service.user()
    member.protect(member.plan())
    (operation,) = service.deployment.operations.unfinished()
    one, other = (service.work() for _ in range(2))
    member.until("operations", lambda found: found[0]["status"] == "succeeded")
    for worker in (one, other):  # as it was seen before
        worker._each([operation], worker._begin)
        with pytest.raises(Conflict):
            worker._engine.fail(operation.id, RefloatError("too late"))
    assert types(outbox) == ["protect.start", "protect.end"]
    assert member("GET", f"operations/{operation.id}").body["operation"]["status"] == "succeeded"


def test_an_end_that_could_not_be_written_down_is_told_all_the_same(
    service: Running, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end and its notice are one transaction; whoever dies before it leaves both to another."""
    dies = iter([True])
    whole = Notices.ended

    def ended_or_dead(self: Notices, *given: Any) -> None:
        whole(self, *given)
        if next(dies, False):
            raise OSError("the process is gone, just before its transaction ends")

    monkeypatch.setattr(Notices, "ended", ended_or_dead)
    service.work()
    member = service.user()
    member.protected()
    assert next(dies, None) is None
    assert types(outbox) == ["protect.start", "protect.end"]


def test_taking_over_is_told(service: Running, outbox: Outbox) -> None:
    member = service.user()
    member.protect(member.plan())
    (operation,) = service.deployment.operations.unfinished()
    worker = service.work()
    member.until("operations", lambda found: found[0]["status"] == "succeeded")
    with service.deployment.database.session() as session:
        worker._outcomes.write(session, Milestone(operation.id, "protect", {}, "taken over"))
    assert types(outbox)[2:] == ["protect.take_over"]
    assert outbox.left()[2].data["host"] == worker._worker_name.name


def test_a_schedule_whose_authority_is_gone_is_told_of_before_its_next_run(
    service: Running, outbox: Outbox
) -> None:
    service.work()
    user = service.user()
    one = scheduled(user, user.plan(), trigger(user)["id"])

    def long_ago() -> None:
        with service.deployment.database.session() as session:
            session.get_one(ScheduleRow, one["id"]).checked_at = now() - timedelta(hours=2)

    path = f"scheduled_operations/{one['id']}"
    service.authority.gone.add("tester 0")
    long_ago()
    user.until(path, lambda found: found["status_reason"])
    (lost,) = outbox.left()
    assert lost.event_type == "data_protect.schedule.authority_lost"
    assert lost.data["scheduled_operation_id"] == one["id"]
    assert "the owner has left" in lost.data["reason"]
    assert lost.data["next_run_at"]
    run_now(user, one)
    user.until(path, lambda found: found["last_runs"] and found["last_runs"][0]["ended_at"])
    assert types(outbox)[1:] == ["protect.error"]  # lost once, however often it is found so
    user("PUT", path, {"scheduled_operation": {"enabled": True}})
    assert types(outbox)[2:] == ["schedule.authority_back"]
    service.authority.gone.add("tester 1")
    long_ago()
    user.until(path, lambda found: found["status_reason"])
    service.authority.gone.clear()
    long_ago()
    user.until(path, lambda found: not found["status_reason"])
    assert types(outbox)[3:] == ["schedule.authority_lost", "schedule.authority_back"]


def test_only_what_was_asked_for_is_told(tmp_path: Path, receiver: Receiver) -> None:
    service = configured(tmp_path, receiver, events="*.error, data_protect.schedule.*")
    try:
        service.work()
        service.user().protected()
        assert Outbox(service.deployment.database).left() == []
    finally:
        service.close()


def test_nothing_is_written_down_for_nobody(tmp_path: Path) -> None:
    service = run_service(tmp_path)
    try:
        service.work()
        service.user().protected()
        assert Outbox(service.deployment.database).left() == []
    finally:
        service.close()


def test_the_guide_tells_all_events() -> None:
    guide = GUIDE.read_text()
    for event_type in EVENT_TYPES:
        _, kind, what = event_type.split(".")
        assert f"| `{what}` |" in guide or f"| `{event_type}` |" in guide, event_type
        assert f"`{kind}`" in guide or kind == "schedule"


# --- how it is told


def test_a_receiver_that_is_down_is_told_when_it_is_up(
    service: Running, receiver: Receiver, outbox: Outbox
) -> None:
    one, database = delivery(service), service.deployment.database
    put(outbox, database)
    put(outbox, database, "protect.end")
    put(outbox, database, subject="o2")
    receiver.status = 500
    assert not one.carry_one()
    (first, *_) = outbox.left()
    assert (first.tries, first.reason) == (1, "it answered 500")
    assert first.due_at > now()
    # The end waits for the start; another operation waits for nobody.
    receiver.status = 200
    assert one.carry_one()
    assert not one.carry_one()
    assert [message["data"]["operation_id"] for message in receiver.messages] == ["o1", "o2"]
    assert outbox.try_again("ops") == 1
    carried(service)
    assert receiver.types[2:] == ["protect.start", "protect.end"]
    assert receiver.messages[0]["id"] == receiver.messages[2]["id"]
    assert receiver.headers[2]["webhook-id"] == receiver.messages[2]["id"]
    assert outbox.left() == []


def test_nobody_listens(service: Running, outbox: Outbox, tmp_path: Path) -> None:
    webhook = Webhook("ops", "http://127.0.0.1:9/", secret_file(tmp_path))
    put(outbox, service.deployment.database)
    Delivery(outbox, webhook, 3).carry_one()
    assert "refused" in outbox.left()[0].reason


def test_a_receiver_that_hangs_holds_up_no_operation(
    service: Running, receiver: Receiver, outbox: Outbox
) -> None:
    receiver.hang = threading.Event()
    deliveries = make_deliveries(service.deployment)
    deliveries.start()
    try:
        service.work()
        member = service.user()
        for _ in range(2):
            member.protected(member.plan())
        assert receiver.until(1)[0] == "protect.start"
    finally:
        receiver.hang.set()
        deliveries.close()


def test_a_receiver_that_does_not_answer_in_time(
    service: Running, receiver: Receiver, outbox: Outbox, tmp_path: Path
) -> None:
    receiver.hang = threading.Event()
    webhook = Webhook("ops", f"http://127.0.0.1:{receiver.port}/", secret_file(tmp_path), timeout=0.3)
    put(outbox, service.deployment.database)
    assert not Delivery(outbox, webhook, 3).carry_one()
    assert outbox.left()[0].reason == "it did not answer within 0.3 seconds"


def test_an_answer_that_never_ends_is_cut_off(service: Running, outbox: Outbox, tmp_path: Path) -> None:
    """A byte now and then keeps the socket's own timeout away."""
    import socket

    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not stop.wait(0.05):
                    try:
                        connection.sendall(b".")
                    except OSError:
                        return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        put(outbox, service.deployment.database)
        assert not Delivery(outbox, Webhook("ops", url, secret_file(tmp_path), timeout=0.4), 3).carry_one()
        stop.set()
        thread.join(60.0)
    assert "did not answer" in outbox.left()[0].reason


@pytest.mark.parametrize(
    ("status", "tries", "words"),
    [(410, 1, "410"), (500, 3, "500"), (404, 3, "404"), (302, 3, "redirects are not followed")],
)
def test_what_cannot_be_told_is_given_up_and_stays_visible(
    service: Running, receiver: Receiver, outbox: Outbox, status: int, tries: int, words: str
) -> None:
    receiver.status = status
    put(outbox, service.deployment.database)
    put(outbox, service.deployment.database, "protect.end")
    one = delivery(service)
    for _ in range(tries):
        assert outbox.left()[0].given_up_at is None
        with service.deployment.database.session() as session:
            session.execute(update(NoticeRow).values(due_at=now()))
        one.carry_one()
    first, __second = outbox.left()
    assert first.given_up_at is not None
    assert words in first.reason
    assert set(receiver.paths) == {"/hook?token=t"}
    backlog = outbox.backlogs()["ops"]
    assert (backlog.waiting, backlog.given_up) == (1, 1)
    receiver.status = 200
    carried(service)  # what was behind it goes on
    assert receiver.types[-1] == "protect.end"
    old = purge.find(service.deployment.database, now() + timedelta(seconds=1), ["ops"])
    assert list(old.notices) == [first.number]
    assert outbox.try_again() == 1
    carried(service)
    assert receiver.messages[-1]["id"] == first.id
    assert outbox.left() == []


def test_a_process_that_dies_while_it_tells_loses_nothing(
    service: Running, receiver: Receiver, outbox: Outbox
) -> None:
    put(outbox, service.deployment.database)
    put(outbox, service.deployment.database, "protect.end")
    assert outbox.take("ops", timedelta(minutes=1)) is not None  # and is never heard of again
    assert (
        outbox.take("ops", timedelta(minutes=1)) is None
    )  # nobody tells the same at once, nor what is behind
    with service.deployment.database.session() as session:
        session.execute(update(NoticeRow).values(due_at=now()))
    carried(service)
    assert receiver.types == ["protect.start", "protect.end"]


def test_what_several_couriers_tell_is_told_once_and_in_order(
    service: Running, receiver: Receiver, outbox: Outbox
) -> None:
    for number in range(10):
        for what in ("protect.start", "protect.take_over", "protect.end"):
            put(outbox, service.deployment.database, what, f"o{number}")
    several = [make_deliveries(service.deployment) for _ in range(3)]
    for deliveries in several:
        deliveries.start()
    try:
        receiver.until(30)
    finally:
        for deliveries in several:
            deliveries.close()
    assert len(receiver.messages) == 30
    assert outbox.left() == []
    for number in range(10):
        seen = [
            message["type"].rpartition(".")[2]
            for message in receiver.messages
            if message["data"]["operation_id"] == f"o{number}"
        ]
        assert seen == ["start", "take_over", "end"]


def test_both_secrets_sign_while_one_is_being_changed(
    service: Running, receiver: Receiver, outbox: Outbox, tmp_path: Path
) -> None:
    import base64

    new = base64.b64encode(b"f" * 32).decode()
    file = tmp_path / "secret"
    file.write_text(f"{WHSEC}\n{new}\n")
    put(outbox, service.deployment.database)
    carried(service)
    for secret in (WHSEC, new):
        verified(secret, receiver.headers[0], receiver.bodies[0])
    # What cannot be signed is not sent.
    one = delivery(service)
    file.unlink()
    put(outbox, service.deployment.database)
    assert not one.carry_one()
    assert len(receiver.messages) == 1
    assert "cannot be read" in outbox.left()[0].reason


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "ftp://127.0.0.1/"}, "http or https"),
        ({"url": "http://user:hush@127.0.0.1/"}, "without user"),
        ({"url": ""}, "needs url"),
        ({"secret_file": "/nowhere"}, "cannot be read"),
        ({"ca_file": "/nowhere"}, "ca_file"),
    ],
)
def test_what_cannot_work_is_refused_at_the_start(
    tmp_path: Path, receiver: Receiver, options: Any, words: str
) -> None:
    service = configured(tmp_path, receiver, **options)
    with pytest.raises(InvalidInput, match=words) as refused:
        make_deliveries(service.deployment)
    service.close()
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "short", "no base64!", "c2hvcnQ="])
def test_a_secret_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "secret"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=r"secret|base64") as refused:
        Webhook("ops", "http://127.0.0.1/", file)
    assert not text or text not in str(refused.value)


def test_the_operator_sees_what_could_not_be_told(
    service: Running,
    receiver: Receiver,
    outbox: Outbox,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "refloat.conf"
    file.write_text(f"{file.read_text()}[database]\nconnection = sqlite:///{tmp_path}/refloat.sqlite\n")
    monkeypatch.setenv("REFLOAT_CONFIG", str(file))
    receiver.status = 410
    put(outbox, service.deployment.database)
    carried(service)
    assert manage.main(["notice", "list", "-f", "json"]) == 0
    (line,) = json.loads(capsys.readouterr().out)
    assert (line["destination"], line["state"], line["tries"]) == ("ops", "given up", 1)
    assert line["reason"] == "it answered 410"
    assert manage.main(["notice", "retry", "--destination", "ops"]) == 0
    receiver.status = 200
    carried(service)
    assert len(receiver.messages) == 2
    receiver.status = 410
    put(outbox, service.deployment.database)
    carried(service)
    with service.deployment.database.session() as session:
        session.execute(update(NoticeRow).values(given_up_at=now() - timedelta(days=40)))
    assert manage.main(["db", "purge", "30"]) == 0
    assert "1 notices" in capsys.readouterr().out
    assert outbox.left() == []
    # What waits stays, unless nobody is left to be told.
    with service.deployment.database.session() as session:
        outbox.put(session, ["ops", "former"], "data_protect.protect.end", "o1", {})
        session.execute(update(NoticeRow).values(created_at=now() - timedelta(days=40)))
    assert manage.main(["db", "purge", "30"]) == 0
    assert [notice.destination for notice in outbox.left()] == ["ops"]
