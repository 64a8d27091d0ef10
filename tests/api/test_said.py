"""What is said of a checkpoint through the API, in records of both kinds, and in the bank (6.4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from api_helpers import NOOP, run_service
from test_missing import look

from refloat.bank import Bank, load_key
from refloat.records.tables import CheckpointRow


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def test_6_4_what_is_said_through_the_api(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Workers write it into the bank; a database that has lost the checkpoint learns it from there."""
    more = {} if kind == "sqlite" else {"database__connection": request.getfixturevalue("postgresql")()}
    running = run_service(tmp_path, **more)
    try:
        running.work()
        member = running.user()
        plan = member.plan()
        checkpoints = f"providers/{NOOP}/checkpoints"
        wanted = {
            "name": "before",
            "note": "why",
            "labels": {"a": "1", "b": "2"},
            "expires_at": "30d",
            "keep": True,
        }
        made = member("POST", checkpoints, {"checkpoint": {"plan_id": plan["id"], **wanted}}).body[
            "checkpoint"
        ]
        path = f"{checkpoints}/{made['id']}"
        member.until(path, lambda found: found["status"] == "available")

        def change(**words: Any) -> Any:
            return member("PUT", path, {"checkpoint": words})

        found = change(
            name="after", labels={"a": None, "c": "3"}, note=None, expires_at="2099-01-01T02:30:00+02:00"
        )
        assert found.status == 200, found.body
        shown = member("GET", path).body["checkpoint"]
        assert found.body["checkpoint"] == shown
        assert {name: shown[name] for name in wanted} == {
            "name": "after",
            "note": None,
            "labels": {"b": "2", "c": "3"},
            "expires_at": "2099-01-01T00:30:00Z",
            "keep": True,
        }
        assert (shown["user_id"], shown["scheduled_operation_id"], shown["size"]) == ("tester", None, 0)
        assert isinstance(shown["seconds"], int)
        for wrong in (
            {"expires_at": "soon"},
            {"expires_at": "1999-01-01"},
            {"name": "latest"},
            {"colour": "red"},
            {},
        ):
            assert change(**wrong).status == 400, wrong
        assert running.user(roles="reader")("PUT", path, {"checkpoint": {"name": "x"}}).status == 403
        assert running.user(project="another")("PUT", path, {"checkpoint": {"name": "x"}}).status == 404
        assert member("GET", path).body["checkpoint"] == shown
        look(running, 1)
        settings = running.deployment.settings
        with Bank.open(settings.bank_url, load_key(settings.key_file)) as bank:
            (info,) = bank.checkpoints()
        assert info.extra["about"]["labels"] == {"b": "2", "c": "3"}
        with running.deployment.database.session() as session:
            session.query(CheckpointRow).delete()
        look(running, 1)
        again = member("GET", path).body["checkpoint"]
        when = (
            "created_at",
            "protected_at",
        )  # the bank says when it was begun, the records when it was asked for
        assert {**again, **{name: shown[name] for name in when}} == shown
        assert member("PUT", path, {"os-resetState": {"state": "error"}}).body == {}
    finally:
        running.close()
