"""H5: one tenant cannot stop the others: quotas of operations, bounds of what is asked for."""

from __future__ import annotations

import json
import threading
import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from api_helpers import NOOP, OTHER, Running, User, run_service
from test_schedules import ran, run_now, scheduled, trigger

from refloat.api.server import make_runner
from refloat.records.plans import Plans
from refloat.records.quotas import Quotas
from refloat.records.schedules import Schedules
from refloat.records.tables import OperationRow
from refloat.schedule.scheduled_operations import new_firing


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/refloat.sqlite"
    create: Callable[[], str] = request.getfixturevalue("postgresql")
    return create()


@pytest.fixture
def bounded(tmp_path: Path) -> Iterator[Running]:
    running = run_service(
        tmp_path, quota__operations_queued=3, operations__max_resources=8, api__project_requests=None
    )
    yield running
    running.close()


def test_h5_operations_that_wait_have_a_quota_dry_runs_too(bounded: Running) -> None:
    user, other = bounded.user(), bounded.user(project=OTHER)
    plan = user.plan(size=3)
    for _ in range(3):
        user.protect(plan)
    again = user("POST", f"providers/{NOOP}/checkpoints", {"checkpoint": {"plan_id": plan["id"]}})
    assert again.status == 413
    assert "operations_queued allowed (3) exceeded" in again.message
    listed = user("GET", f"providers/{NOOP}/checkpoints").body["checkpoints"]
    assert len(listed) == 3  # nothing is left of what was refused
    assert other.protect(other.plan(size=3))["status"] == "protecting"
    usage = user("GET", f"quotas/{user.project}/detail").body["quota"]
    assert usage["operations_queued"] == {"limit": 3, "in_use": 3, "reserved": 0}
    assert usage["operations_running"] == {"limit": -1, "in_use": 0, "reserved": 0}
    bounded.work()
    user.until(
        f"providers/{NOOP}/checkpoints", lambda found: {each["status"] for each in found} == {"available"}
    )
    bounded.workers[0].close()
    run = {"provider_id": NOOP, "checkpoint_id": listed[0]["id"], "parameters": {}}
    asked = [
        user("POST", "operations", {"operation": {**run, "type": "restore", "dry_run": True}})
        for _ in range(4)
    ]
    assert [answer.status for answer in asked] == [200, 200, 200, 413]
    assert user("POST", "verifications", {"verification": run}).status == 413
    # An administrator raises it.
    admin = bounded.user(roles="admin")
    change = {"quota": {"operations_queued": 4, "operations_running": 1}}
    assert admin("PUT", f"quotas/{user.project}", change).status == 200
    assert user("POST", "verifications", {"verification": run}).status == 200


def test_h5_a_quota_of_what_runs_has_the_rest_wait(tmp_path: Path) -> None:
    running = run_service(tmp_path, quota__operations_running=0)
    try:
        user = running.user()
        made = user.protect(user.plan(size=3))
        worker = running.work()
        other = running.user(project=OTHER)
        Quotas(running.deployment.database, {}).set_project(OTHER, {"operations_running": 1})
        theirs = other.protect(other.plan(size=3))
        path = f"providers/{NOOP}/checkpoints"
        other.until(f"{path}/{theirs['id']}", lambda found: found["status"] == "available")
        assert user("GET", f"{path}/{made['id']}").body["checkpoint"]["status"] == "protecting"
        (mine,) = user("GET", "operations").body["operations"]
        assert mine["id"] not in worker._engine.running()
        Quotas(running.deployment.database, {}).set_project(user.project, {"operations_running": -1})
        user.until(f"{path}/{made['id']}", lambda found: found["status"] == "available")
    finally:
        running.close()


def test_h5_a_protection_of_too_many_resources_stops_early_in_words(bounded: Running) -> None:
    bounded.work()
    user = bounded.user()
    made = user.protect(user.plan(size=1000))
    found = user.until(
        f"providers/{NOOP}/checkpoints/{made['id']}", lambda checkpoint: checkpoint["status"] == "error"
    )
    assert "more than 8 resources" in found["error_info"]
    fits = user.protect(user.plan(size=8))
    user.until(f"providers/{NOOP}/checkpoints/{fits['id']}", lambda found: found["status"] == "available")


def test_h5_made_up_applications_are_small(member: User) -> None:
    assert member("GET", "protectables/Refloat::Noop/instances/tree-1001").status == 404


def test_h5_what_is_asked_for_is_small(working: Running) -> None:
    user = working.user()
    checkpoint = user.protected()
    run = {"provider_id": NOOP, "checkpoint_id": checkpoint["id"], "parameters": {}}
    long = {"Refloat::Noop": {f"k{number}": "x" * 200 for number in range(500)}}
    for body in (
        {"restore": {**run, "only": ["Refloat::Noop#tree-5" + " " * 400] * 200}},
        {"restore": {**run, "parameters": long}},
    ):
        assert 400 <= user("POST", "restores", body).status < 500
    extra = {
        "checkpoint": {"plan_id": checkpoint["protection_plan"]["id"], "extra-info": {"x": "y" * 70_000}}
    }
    refused = user("POST", f"providers/{NOOP}/checkpoints", extra)
    assert refused.status == 400
    assert "too large" in refused.message
    assert "65536 at most" in refused.message
    resources = [{"type": "Refloat::Noop", "id": f"tree-{n}", "name": "x" * 200} for n in range(1, 400)]
    plan = {"name": "x", "provider_id": NOOP, "resources": resources, "parameters": {}}
    assert len(json.dumps(plan)) > 65_536
    refused = user("POST", "plans", {"plan": plan})
    assert refused.status == 400
    assert "the plan is too large" in refused.message


def test_h5_runs_that_one_asks_for_keep_no_schedule_of_another_waiting(database: str, tmp_path: Path) -> None:
    """Those of one schedule run one after the other, and only so many firings are looked at."""
    running = run_service(tmp_path, database__connection=database)
    try:
        user, other = running.user(), running.user(project=OTHER)
        greedy, theirs = (scheduled(each, each.plan(size=3), trigger(each)["id"]) for each in (user, other))
        path = f"scheduled_operations/{greedy['id']}/action"
        answers = [user("POST", path, {"run": {}}).status for _ in range(12)]
        assert answers == [200] * 10 + [409] * 2
        schedules = Schedules(running.deployment.database, None)
        with running.deployment.database.session() as session:  # as an earlier Refloat let anybody
            early = datetime(2026, 1, 1)
            for number in range(1200):
                row = new_firing(greedy["id"], early + timedelta(seconds=number), early, manual=True)
                session.add(row)
        run_now(other, theirs)
        runner = make_runner(running.deployment)
        runner.look()
        states = {schedule.project_id: firing.state for firing, schedule in schedules.open_firings()[::-1]}
        assert states == {user.project: "running", OTHER: "running"}
        assert len(schedules.open_firings()) == 4  # what runs, and the next or latest that waits
        running.work()
        ran(other, theirs, "succeeded")
    finally:
        running.close()


def test_h5_dry_runs_that_need_nothing_in_the_cloud_make_no_trust(service: Running) -> None:
    service.work()
    user = service.user()
    checkpoint = user.protected()
    before = len(service.authority.granted)
    run = {"provider_id": NOOP, "checkpoint_id": checkpoint["id"], "type": "delete", "dry_run": True}
    made = user("POST", "operations", {"operation": run}).body["operation"]
    found = user.until(f"operations/{made['id']}", lambda found: found["status"] == "succeeded")
    assert found["result"]["possible"]
    assert len(service.authority.granted) == before


def test_h5_without_being_configured_nothing_is_made_up(tmp_path: Path) -> None:
    running = run_service(tmp_path, providers__noop=False)
    try:
        for roles in ("member", "admin"):
            user = running.user(roles=roles)
            assert "noop" not in {each["name"] for each in user("GET", "providers").body["providers"]}
            assert user("GET", f"providers/{NOOP}").status == 404
            assert "Refloat::Noop" not in user("GET", "protectables").body["protectable_type"]
            for provider in user("GET", "providers").body["providers"]:
                resources = [{"type": "Refloat::Noop", "id": "tree-1000", "name": "x"}]
                plan = {"name": "x", "provider_id": provider["id"], "resources": resources, "parameters": {}}
                refused = user("POST", "plans", {"plan": plan})
                assert refused.status == 400
                assert "does not protect" in refused.message
    finally:
        running.close()


def test_h5_one_projects_clients_do_not_occupy_all_threads(
    bounded: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests that hang in the service, of one project: those beyond its share are refused at once, and
    others are answered."""
    user, other = bounded.user(), bounded.user(project=OTHER)
    inside, go_on = threading.Semaphore(0), threading.Event()
    pages = Plans.page

    def slow(plans: Plans, *given: Any, **more: Any) -> Any:
        if plans._project_id == user.project:
            inside.release()
            assert go_on.wait(60)
        return pages(plans, *given, **more)

    monkeypatch.setattr(Plans, "page", slow)
    with ThreadPoolExecutor(6) as pool:
        hanging = [pool.submit(user, "GET", "plans") for _ in range(6)]
        try:
            for _ in hanging:
                assert inside.acquire(timeout=60)
            refused = user("GET", "plans")
            assert (refused.status, refused.headers["retry-after"]) == (429, "1")
            assert "6 requests answered at once" in refused.message
            assert other("GET", "plans").status == 200
        finally:
            go_on.set()
        assert [each.result().status for each in hanging] == [200] * 6
    assert user("GET", "plans").status == 200


def test_h5_lists_of_operations_do_not_carry_their_results(bounded: Running) -> None:
    """A hundred operations with large results and plans: the lists take what they show."""
    user, database = bounded.user(), bounded.deployment.database
    large = [{"type": "T", "id": f"{number}", "name": "n" * 90} for number in range(2000)]
    with database.session() as session:
        for number in range(100):
            session.add(
                OperationRow(
                    id=str(uuid.uuid4()),
                    kind="verify",
                    project_id=user.project,
                    state="succeeded",
                    runner="service",
                    checkpoint_id=str(number),
                    payload={"provider": NOOP, "plan": {"name": "shop", "resources": large}},
                    result={"status": "bad" if number else "good", "resources": large},
                    created_at=datetime(2026, 1, 1, second=number % 60),
                )
            )
    for path, name in (("operations?limit=1000", "operations"), ("operation_logs", "operation_logs")):
        tracemalloc.start()
        listed = user("GET", path).body[name]
        _now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(listed) == 100
        assert peak < 8_000_000, path
    assert [log["status"] for log in listed].count("fail") == 99
    assert {log["provider_id"] for log in listed} == {NOOP}
    (one, *_) = user("GET", "operations").body["operations"]
    assert (one["plan_name"], one["provider_id"]) == ("shop", NOOP)
    assert len(user("GET", f"operations/{one['id']}").body["operation"]["resources"]) == 2000
