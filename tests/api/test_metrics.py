"""The metrics of a process of the service, and that the dashboard and the alerts ask for nothing else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from api_helpers import DEADLINE, DEMO, NOOP, Running
from prometheus_client.parser import text_string_to_metric_families

from refloat.api import config
from refloat.api.server import make_metrics, make_worker
from refloat.control.fairness import Fairness, Shares, in_turn
from refloat.control.metrics import Metrics
from refloat.engine.program import Milestone
from refloat.movers import disagreements
from refloat.records.operations import Operation
from refloat.records.outbox import Outbox
from refloat.records.tables import CheckpointRow

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "refloat-alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "refloat.json"


def samples(text: str) -> dict[str, float]:
    """By name and labels, sorted."""
    return {
        sample.name + "".join(f" {k}={v}" for k, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def metrics(service: Running) -> Metrics:
    """Those of a running service."""
    return make_metrics(service.deployment)


def test_what_is_counted(service: Running, metrics: Metrics) -> None:
    worker = make_worker(service.deployment, metrics.tell)
    worker._tick = 0.05
    service.workers.append(worker)
    worker.start()
    member = service.user()
    plan = member.plan()
    member.protected(plan)
    ended = "refloat_operations_ended_total kind=protect state=succeeded"
    deadline = time.monotonic() + DEADLINE
    while ended not in (found := samples(metrics.text())):  # counted right after it is written down
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert found[ended] == 1
    assert found["refloat_operation_duration_seconds_count kind=protect"] == 1
    assert found["refloat_operations_running kind=protect"] == 0
    assert (
        found[f"refloat_plan_newest_checkpoint_timestamp_seconds plan_id={plan['id']} project_id={DEMO}"] > 0
    )
    assert next(value for name, value in found.items() if name.startswith("refloat_bank_bytes")) > 0
    assert "refloat_operations_unfinished kind=protect" not in found


def test_what_waits(service: Running, metrics: Metrics) -> None:
    member = service.user()
    member.protect(member.plan())
    member.protect(member.plan("other"))
    found = samples(metrics.text())
    assert found["refloat_operations_unfinished kind=protect"] == 2
    assert found["refloat_oldest_unfinished_timestamp_seconds kind=protect"] > 0


def test_take_overs_and_parked_operations(metrics: Metrics) -> None:
    metrics.tell(Milestone("a", "restore", {}, "taken over"))
    metrics.tell(Milestone("a", "restore", {}, "ended", "parked"))
    found = samples(metrics.text())
    assert found["refloat_takeovers_total kind=restore"] == 1
    assert found["refloat_operations_running kind=restore"] == 0
    assert not [name for name in found if name.startswith("refloat_operations_ended_total")]


def test_no_name_of_anybody_is_told(service: Running, metrics: Metrics) -> None:
    member = service.user(name="anybody")
    service.work()
    member.protected(member.plan("a name of theirs"))
    assert "a name of theirs" not in metrics.text()
    assert "anybody" not in metrics.text()


def test_l8_ids_of_projects_and_plans_are_told_only_where_the_page_says(
    service: Running, metrics: Metrics
) -> None:
    """L8: who reads the port needs no token: nobody does unless it is switched on, nor from another host."""
    conf = service.deployment.conf.metrics
    assert (conf.port, conf.host) == (None, "127.0.0.1")
    member = service.user()
    plan = member.plan(objective=26)
    service.work()
    for status, verified in (("missing", "good"), ("available", "bad"), ("available", "good")):
        made = member.protected(plan)["id"]
        with service.deployment.database.session() as session:
            row = session.get_one(CheckpointRow, made)
            row.status, row.verified = status, verified
            row.lacks = (
                [{"type": "x", "id": "x", "name": "x", "reason": "gone"}] if verified == "bad" else None
            )
    told = {name.partition(" ")[0] for name in samples(metrics.text()) if DEMO in name or plan["id"] in name}
    page = (Path(__file__).parents[2] / "docs/metrics.md").read_text(encoding="utf-8")
    assert len(told) >= 5
    assert told <= set(re.findall(r"`(\w+){[^}]*(?:project|plan)_id[^}]*}`", page))
    assert "without a token" in page
    assert "the ids of projects and\nplans are among them" in page


def test_how_a_plan_stands_to_its_objective(service: Running, metrics: Metrics) -> None:
    member = service.user()
    plan, other = member.plan(objective=2), member.plan("other")
    labels = f" plan_id={plan['id']} project_id={DEMO}"
    ends = f"refloat_plan_objective_ends_timestamp_seconds{labels}"
    newest = f"refloat_plan_newest_checkpoint_timestamp_seconds{labels}"
    found = samples(metrics.text())
    assert found[f"refloat_plan_objective_seconds{labels}"] == 7200
    assert not [name for name in found if other["id"] in name]
    # Without a checkpoint it counts from when the plan was made.
    assert newest not in found
    assert found[ends] == datetime.fromisoformat(plan["created_at"]).timestamp() + 7200
    service.work()
    checkpoint = member.protected(plan)
    found = samples(metrics.text())
    assert found[ends] == found[newest] + 7200
    # One that a verification found bad is no good checkpoint.
    body = {"verification": {"provider_id": NOOP, "checkpoint_id": checkpoint["id"], "parameters": {}}}
    made = member("POST", "verifications", body).body["verification"]
    member.until(f"verifications/{made['id']}", lambda found: found["status"] != "in_progress")
    assert newest in samples(metrics.text())
    with service.deployment.database.session() as session:
        session.get_one(CheckpointRow, checkpoint["id"]).verified = "bad"
    found = samples(metrics.text())
    assert newest not in found
    assert found[ends] == datetime.fromisoformat(plan["created_at"]).timestamp() + 7200


def test_an_objective_can_be_changed_and_taken_away(service: Running) -> None:
    member = service.user()
    path = f"plans/{member.plan(objective=26)['id']}"
    for wanted in (4, None):
        assert member("PUT", path, {"plan": {"objective": wanted}}).body["plan"]["objective"] == wanted
    for wrong in (0, -1, "4", 1.5, 100_000):
        assert member("PUT", path, {"plan": {"objective": wrong}}).status == 400


def test_it_is_served_and_ends(metrics: Metrics) -> None:
    close = metrics.serve("127.0.0.1", port := _free_port())
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            assert "refloat_takeovers" in answer.read().decode()
    finally:
        close()
    with pytest.raises(OSError):  # noqa: PT011 - whatever the system says of a closed port
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60)


def _free_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_dashboard_and_alerts_ask_for_what_there_is(service: Running, metrics: Metrics) -> None:
    for milestone in (
        Milestone("a", "protect", {}, "taken over"),
        Milestone("a", "protect", {}, "ended", "succeeded", seconds=3, bytes=5),
    ):
        metrics.tell(milestone)
    member = service.user()
    service.work()
    member.protected(member.plan(objective=26))
    member.protect(member.plan("b", provider=NOOP))
    lost, bad = member.protected(), member.protected()
    with service.deployment.database.session() as session:
        Outbox.put(session, ["ops"], "data_protect.protect.end", "o", {})
        session.get_one(CheckpointRow, lost["id"]).status = "missing"
        session.get_one(CheckpointRow, bad["id"]).verified = "bad"
    metrics.looks = lambda: {"b": (True, 0)}
    known = {name.partition(" ")[0] for name in samples(metrics.text())}
    known |= {f"refloat_{name}" for name in ("operations_unfinished", "oldest_unfinished_timestamp_seconds")}
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    asked += [rule["expr"] for rule in rules]
    assert len(panels) >= 6
    assert all(rule["annotations"]["summary"] for rule in rules)
    for expression in asked:
        names = re.findall(r"\brefloat_[a-z_]+", expression)
        assert names, expression
        assert set(names) <= known, expression


@pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool is not installed (apt-get install prometheus)"
)
def test_promtool_accepts_the_alerts() -> None:
    done = subprocess.run(
        ["promtool", "check", "rules", str(ALERTS)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool is not installed (apt-get install prometheus)"
)
@pytest.mark.parametrize(
    ("metric", "name", "label", "summary", "after"),
    [
        (
            *("refloat_checkpoints_missing", "RefloatCheckpointsMissing", "project_id"),
            "2 checkpoints of project p are not found in their bank. Is all of it there?",
            3,
        ),
        (
            *("refloat_bank_altered", "RefloatBankAltered", "bank_id"),
            "2 things in the bank p are not as Refloat left them: "
            "refloat bank verify --against-records names them.",
            3,
        ),
        (
            *("refloat_bank_unreadable", "RefloatBankUnreadable", "bank_id"),
            "Workers cannot read the bank p, or find another one in its place. "
            "Is its store there, is it mounted?",
            18,
        ),
    ],
)
def test_c3_m5_alerts_of_banks_fire(
    tmp_path: Path, metric: str, name: str, label: str, summary: str, after: int
) -> None:
    """A checkpoint is missing; a bank is not as it was left, or not there."""
    alert = {"exp_labels": {label: "p", "severity": "critical"}, "exp_annotations": {"summary": summary}}
    wanted: list[tuple[str, list[Any]]] = [("1m", []), (f"{after}m", [alert]), (f"{after + 3}m", [])]
    case = {
        "interval": "1m",
        "input_series": [
            {"series": f'{metric}{{{label}="p",instance="{each}"}}', "values": f"_ _ 2x{after - 2} stale"}
            for each in ("a", "b")
        ],
        "alert_rule_test": [
            {"eval_time": at, "alertname": name, "exp_alerts": alerts} for at, alerts in wanted
        ],
    }
    rules = {"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [case]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(rules))
    done = subprocess.run(
        ["promtool", "test", "rules", str(tmp_path / "test.yml")], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool is not installed (apt-get install prometheus)"
)
def test_the_alert_of_movers_fires(tmp_path: Path, metrics: Metrics) -> None:
    before = samples(metrics.text())["refloat_mover_disagreements_total"]
    disagreements.add(3)
    assert samples(metrics.text())["refloat_mover_disagreements_total"] == before + 3
    summary = (
        "Data had changed of which the storage had said that it had not. "
        "The workers' log names the volumes: protect them with full_read."
    )
    alert = {"exp_labels": {"severity": "critical"}, "exp_annotations": {"summary": summary}}
    case = {
        "interval": "1m",
        "input_series": [{"series": "refloat_mover_disagreements_total", "values": "0x9 3x30"}],
        "alert_rule_test": [
            {"eval_time": at, "alertname": "RefloatMoverDisagrees", "exp_alerts": alerts}
            for at, alerts in (("9m", []), ("20m", [alert]))
        ],
    }
    rules = {"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [case]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(rules))
    done = subprocess.run(
        ["promtool", "test", "rules", str(tmp_path / "test.yml")], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def operation(number: int, project: str, kind: str = "protect", state: str = "running") -> Operation:
    """One that was asked for after all of smaller numbers."""
    return Operation(f"{number}", kind, project, "", "", state, {}, None, None, f"{number:06d}")


@pytest.fixture
def ids() -> Callable[..., list[str]]:
    return lambda operations, limit=0, **more: [
        each.id for each in in_turn(operations, Fairness(per_project=limit, **more))
    ]


def test_every_project_has_its_turn(ids: Callable[..., list[str]]) -> None:
    many = [operation(number, "large") for number in range(1000)]
    few = [operation(1000, "small"), operation(1001, "small"), operation(1002, "other")]
    assert ids([*many, *few])[:6] == ["0", "1000", "1002", "1", "1001", "2"]
    assert len(ids([*many, *few])) == 1003


def test_restores_come_first_in_their_project(ids: Callable[..., list[str]]) -> None:
    asked = [operation(0, "a"), operation(1, "b"), operation(2, "a"), operation(3, "a", "restore")]
    assert ids(asked) == ["3", "1", "0", "2"]


def test_a_project_with_more_weight_has_more_turns(ids: Callable[..., list[str]]) -> None:
    asked = [operation(number, "gold") for number in range(6)]
    asked += [operation(number, "plain") for number in range(6, 9)]
    assert ids(asked, weights={"gold": 3}) == ["0", "1", "2", "6", "3", "4", "5", "7", "8"]


def test_the_operator_says_what_comes_first(ids: Callable[..., list[str]]) -> None:
    nightly = replace(operation(0, "a"), scheduled_operation_id="s")
    asked = [nightly, operation(1, "a", "verify"), operation(2, "a", "delete"), operation(3, "a")]
    assert ids(asked, priorities={"delete": 5, "scheduled": -1}) == ["2", "1", "3", "0"]
    assert ids(asked, priorities={}) == ["0", "1", "2", "3"]


def test_a_project_may_have_a_limit_of_its_own(ids: Callable[..., list[str]]) -> None:
    asked = [operation(number, "a" if number % 2 else "b") for number in range(8)]
    assert set(ids(asked, 1, project_limits={"a": 3})) == {"0", "1", "3", "5"}
    assert set(ids(asked, 1, project_limits={"a": 0})) == {"0", "1", "3", "5", "7"}


def test_a_limit_holds_for_a_project(ids: Callable[..., list[str]]) -> None:
    asked = [
        *(operation(number, "a") for number in range(4)),
        operation(4, "b"),
        operation(5, "a", state="succeeded"),
        operation(6, "a", "restore"),
    ]
    # What has ended is still to be given back what it acted with.
    assert set(ids(asked, 2)) == {"0", "4", "5", "6"}
    assert set(ids(asked[:5], 2)) == {"0", "1", "4"}


def test_h5_no_priority_takes_more_than_one_beyond_a_projects_limit(ids: Callable[..., list[str]]) -> None:
    """H5: four protections run and a thousand restores are asked for: one begins, the rest wait."""
    asked = [operation(number, "a") for number in range(4)]
    asked += [operation(number, "a", "restore", "queued") for number in range(4, 1000)]
    begun = [identity for identity in ids(asked, 4) if int(identity) >= 4]
    assert begun == ["4"]
    asked[4] = operation(4, "a", "restore")
    assert not [identity for identity in ids(asked, 4) if int(identity) > 4]


def test_what_waits_for_another_one_takes_no_place(ids: Callable[..., list[str]]) -> None:
    """A restore begins when its safety checkpoint is made: where one may run both would wait for ever."""
    safe = replace(operation(0, "a", "restore", "queued"), payload={"safety": {"operation_id": "1"}})
    made = operation(1, "a", state="queued")
    assert ids([safe, made], 1) == ["1"]
    assert ids([safe, replace(made, state="running")], 2) == ["1"]
    assert ids([safe, replace(made, state="parked")], 2) == ids([safe, replace(made, state="parked")], 0)
    assert ids([safe], 1) == ["0"]
    assert "0" in ids([replace(safe, requested="cancel"), made], 2)


def test_h5_a_quota_limits_what_runs_whatever_its_priority() -> None:
    asked = [operation(number, "a", state="queued") for number in range(5)]
    asked += [operation(number, "b", "restore", "queued") for number in range(5, 10)]
    found = in_turn(asked, Fairness(per_project=4), {"a": 2, "b": 0})
    assert [each.id for each in found] == ["0", "1"]
    found = in_turn(asked, Fairness(), {"a": -1, "b": 1})
    assert {each.id for each in found} == {"0", "1", "2", "3", "4", "5"}


def test_h5_a_project_has_half_of_the_room_of_all_workers_unless_the_operator_says_otherwise() -> None:
    shares = Shares(Fairness(per_project=None), None, 8)
    asked = [operation(number, "a", state="queued") for number in range(50)]
    assert len(shares.in_turn(asked)) == 4
    shares.workers = 3
    assert len(shares.in_turn(asked)) == 12
    assert config.load([]).operations.per_project is None
