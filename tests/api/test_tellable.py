"""L4: what tenants are told of errors names no path, URL or object of the operator; the log has the whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from api_helpers import NOOP, Running

from refloat.api.tellable import HIDDEN, answer, words

SECRET = (
    "the bank file:///srv/bank cannot be read",
    "there is no bank in s3://backups/refloat?endpoint=https://s3.inner:7480",
    "the store failed to read: swift://karbor/refloat",
    "the folder /srv/refloat/bank has another bank than when it was opened",
    "expected: the bank 0123456789abcdef0123456789abcdef; found: nothing",
    "[Errno 13] Permission denied: '/etc/refloat/keys/bank.key'",
    "the bank's object data/0123456789abcdef/00ff/17.pack is damaged",
    "the bank has lost checkpoints/3f.00ff.manifest, which this checkpoint needs",
    "there is nothing at keys/0123456789abcdef",
    "could not connect to postgresql://refloat:pw@db.inner/refloat",
    "Unable to establish connection to http://controller:8774/v2.1/servers",
    "the key file bank.key is damaged",
    "could not open /var/lib/refloat/refloat.sqlite",
    "a mount at /bank",
    "filer:/srv/bank: stale handle; path=/srv/bank",
    "there is nothing in ../srv/bank, nor in ~/bank.key",
    "the hold holds/c1.00ff cannot be read",
    "could not remove condemned/00ff/1, alive/0a1b/2, databases/00ff.3",
    "HTTPSConnectionPool(host='s3.inner', port=443): Read timed out.",
    "PermissionDenied at write, context: { service: s3, bucket: karbor-prod, endpoint: s3.inner } => denied",
    'connection to server at "db.inner" (10.0.0.9), port 5432 failed: Connection refused',
    "tcp connect error: keystone.inner:5000, 10.0.0.9:7480",
    "could not open refloat.sqlite-wal, ceph.client.karbor.keyring",
)
INNER = (
    "/srv",
    "/etc",
    "/var",
    "/bank",
    "://",
    "inner",
    "controller",
    "karbor",
    "data/",
    "points/",
    "keys/",
    "holds/",
    "10.0.0.9",
)
PLAIN = (
    "the volume vol-1 is on /dev/vdb of server web",
    "no such subnet: 10.0.0.0/24",
    "OS::Cinder::Volume web (3f0e9a53-0d5d-4c1a-8d0c-3f0e6f3b4f0e): its status is 'error'",
    "there is neither/nor: N/A (request id req-1)",
    "it is 3/4 done",
    "the rule ::/0, fe80::/64 of the port: tcp:8080 from 10.0.0.0/24 to 0.0.0.0/0 at 12:30:59 exists",
    "could not create the port: the host: compute, the bucket: none",
    "Refloat::Noop tree:1000 at 2026-01-31T12:00:00+00:00, fa:16:3e:00:11:22",
    "Quota exceeded for cores: Requested 1, but already used 20 of 20 cores",
)


def test_l4_places_of_the_operator_are_hidden_and_nothing_else() -> None:
    for text in SECRET:
        told = words(text)
        assert HIDDEN in told, text
        assert not [part for part in (*INNER, "bank.key", "0123456789abcdef") if part in told], told
    for text in PLAIN:
        assert words(text) == text


def test_l4_only_what_is_said_of_errors_is_touched() -> None:
    text = SECRET[0]
    given = {
        "plan": {"name": text, "description": text},
        "hold": {"reason": text},
        "list": [{"error_info": text, "name": text}],
        "resources_reason": {"OS::Nova::Server#1": text},
        "result": {"problems": [text], "resources": [{"name": text, "reason": text}]},
        "error": {"message": text, "reason": None},
    }
    told = json.dumps(answer(given))
    assert told.count(HIDDEN) == 5
    assert told.count("/srv/bank") == 5


def test_l4_a_bank_that_is_away_is_told_of_without_its_place(
    service: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    worker = service.work()
    user, admin = service.user(), service.user(roles="admin")
    checkpoint = user.protected()
    worker.close()
    shutil.rmtree(tmp_path / "bank")
    (tmp_path / "bank").mkdir()
    service.work()
    run = {"provider_id": NOOP, "checkpoint_id": checkpoint["id"], "parameters": {}}
    made = user("POST", "verifications", {"verification": run}).body["verification"]
    user.until(f"verifications/{made['id']}", lambda found: found["status"] == "fail")
    seen = [
        user("GET", path).body
        for path in (
            f"verifications/{made['id']}",
            "verifications",
            f"operations/{made['id']}",
            f"operations/{made['id']}/events",
            "operations",
            f"operation_logs/{made['id']}",
            "operation_logs",
            f"providers/{NOOP}/checkpoints",
        )
    ]
    assert seen[0]["verification"]["error_info"]
    assert str(tmp_path) not in json.dumps(seen)
    # A bank that is asked at once.
    order = {"checkpoint_id": checkpoint["id"], "parameters": {"to": "default"}}
    refused = user("POST", f"providers/{NOOP}/checkpoints/action", {"copy": order})
    assert refused.status >= 400
    assert str(tmp_path) not in refused.message
    whole = admin("GET", f"operations/{made['id']}").body["operation"]["error_info"]
    assert str(tmp_path) in whole + caplog.text
