"""``refloat serve`` in a process of its own, spoken to over HTTP; the samples of databases; trusts."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from api_helpers import NOOP, run_service

from refloat.api import config
from refloat.cloud.authority import Caller, NamedCloud
from refloat.cloud.trusts import Trusts
from refloat.errors import AuthFailed, CloudError, InvalidInput
from tests.unit.support.cli_helpers import PROJECT, Command, new_user, serve_identity


@pytest.fixture(scope="module")
def identity_port() -> Iterator[int]:
    server = serve_identity()
    yield server.server_address[1]
    server.shutdown()


class Served:
    """``refloat serve --noauth``, until it is told to stop.

    :param slow: seconds that protecting a resource takes.
    """

    def __init__(self, command: Command, slow: float = 0) -> None:
        self.process = command.start("serve", "--noauth", "--port", "0", slow=slow)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if found := re.search(r"listens on (\S+)/v1", line):
                self.url = f"{found[1]}/v1/{PROJECT}"
                break
        else:
            raise AssertionError("it did not start")
        # Somebody must read what it says, or it waits for ever.
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"X-Auth-Token": f"me:{PROJECT}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(120)


def test_serve_is_killed_and_goes_on(identity_port: int, tmp_path: Path) -> None:
    command = new_user(tmp_path, identity_port)
    assert command.run("bank", "create").status == 0
    served = Served(command, slow=20)
    resources = [{"type": "Refloat::Noop", "id": "tree-5", "name": "x"}]
    plan = {"name": "x", "provider_id": NOOP, "resources": resources, "parameters": {}}
    made = served("POST", "plans", {"plan": plan})["plan"]
    checkpoint = served("POST", f"providers/{NOOP}/checkpoints", {"checkpoint": {"plan_id": made["id"]}})
    path = f"providers/{NOOP}/checkpoints/{checkpoint['checkpoint']['id']}"
    with pytest.raises(urllib.error.HTTPError, match="400"):
        served("GET", "plans/x")
    assert served("GET", path)["checkpoint"]["status"] == "protecting"
    assert served.stop(signal.SIGKILL) == -signal.SIGKILL

    served = Served(command)
    deadline = time.monotonic() + 120
    while (status := served("GET", path)["checkpoint"]["status"]) == "protecting":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert status == "available"
    assert served.stop() == 0
    # The same checkpoint, by the command.
    rows = command.run("checkpoint", "list", "-f", "json").json
    assert [(row["id"], row["status"]) for row in rows] == [(path.rpartition("/")[2], "available")]


def test_without_authentication_it_is_for_this_machine_alone(identity_port: int, tmp_path: Path) -> None:
    command = new_user(tmp_path, identity_port)
    ran = command.run("serve", "--noauth", "--host", "0.0.0.0", "--port", "0")
    assert ran.status == 2
    assert "does not listen on 0.0.0.0" in ran.err


def test_on_postgresql(postgresql: Callable[[], str], tmp_path: Path) -> None:
    running = run_service(tmp_path, database__connection=postgresql())
    try:
        running.work()
        member, admin = running.user(), running.user(roles="admin,member,reader")
        admin("PUT", f"quotas/{member.project}", {"quota": {"plans": 2}})
        plan = member.plan()
        checkpoint = member.protected(plan)
        member.plan("b")
        body = {"plan": {**{k: plan[k] for k in ("name", "provider_id", "resources")}, "parameters": {}}}
        assert member("POST", "plans", body).status == 413
        for query in ("sort=name:asc&limit=1", "name=b", "status=suspended&description=x", "name=%25"):
            assert member("GET", f"plans?{query}").status == 200
        run = {"provider_id": NOOP, "checkpoint_id": checkpoint["id"], "parameters": {}}
        restore = member("POST", "restores", {"restore": run}).body["restore"]
        member.until(f"restores/{restore['id']}", lambda found: found["status"] == "success")
        assert member("DELETE", f"providers/{NOOP}/checkpoints/{checkpoint['id']}").status == 200
        path = f"providers/{NOOP}/checkpoints/{checkpoint['id']}"
        member.until(path, lambda found: found["status"] == "deleted")
        assert len(member("GET", "operation_logs?limit=2").body["operation_logs"]) == 2
        for status, count in (("success", 1), ("deleted", 1), ("available", 1), ("fail", 0)):
            logs = member("GET", f"operation_logs?status={status}").body["operation_logs"]
            assert len(logs) == count, status
        done = member("GET", f"operations/{restore['id']}").body["operation"]
        assert (done["status"], len(done["resources"])) == ("succeeded", 5)
        events = member("GET", f"operations/{restore['id']}/events?limit=3").body
        assert (events["total"], len(events["events"])) == (22, 3)
        assert len(member("GET", "operations?type=restore&dry_run=false").body["operations"]) == 1
        assert admin("GET", "os-services").body["services"][0]["state"] == "up"
        assert running.all_given_back()
    finally:
        running.close()


# Trusts, against as much of the identity service as they need


class _Identity(BaseHTTPRequestHandler):
    """Logs what it is asked; user ``refloat`` may log in, and there may be one trust."""

    log: list[tuple[str, str, Any]]
    refuse: int
    trusts: list[Any]
    locked: str

    def _answer(self, status: int, body: Any, **headers: str) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        if "/OS-TRUST/trusts" in self.path:
            self._answer(200, {"trusts": self.trusts})
            return
        url = f"http://127.0.0.1:{self.server.server_address[1]}/v3"
        links = [{"rel": "self", "href": url}]
        self._answer(200, {"version": {"id": "v3.14", "status": "stable", "links": links}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.log.append(("POST", self.path, body))
        if self.path.endswith("/auth/tokens"):
            scope = body["auth"].get("scope", {})
            if "all" in self.locked or ("trusts" in self.locked and "OS-TRUST:trust" in scope):
                self._answer(401, {"error": {"code": 401, "message": "no", "title": "Unauthorized"}})
                return
            user = {"id": "refloat-id", "name": "refloat", "domain": {"id": "default", "name": "Default"}}
            url = f"http://127.0.0.1:{self.server.server_address[1]}/v3"
            endpoint = {"id": "e", "interface": "public", "region": "r", "region_id": "r", "url": url}
            catalog = [{"type": "identity", "id": "s", "name": "keystone", "endpoints": [endpoint]}]
            times = {"expires_at": "2099-01-01T00:00:00.0Z", "issued_at": "2026-01-01T00:00:00.0Z"}
            token = {
                "user": user,
                "methods": ["password"],
                "catalog": catalog,
                "roles": [{"id": "m", "name": "member"}],
                **times,
            }
            if scope:
                token["project"] = {"id": "p1", "name": "p", "domain": user["domain"]}
            self._answer(201, {"token": token}, X_Subject_Token="t")
        elif self.refuse:
            self._answer(self.refuse, {"error": {"code": self.refuse, "message": "no", "title": "No"}})
        else:
            self._answer(201, {"trust": {"id": "trust-1"}})

    def do_DELETE(self) -> None:
        self.log.append(("DELETE", self.path, self.headers["X-Auth-Token"]))
        if self.refuse:
            self._answer(self.refuse, {"error": {"code": self.refuse, "message": "no", "title": "No"}})
        else:
            self.send_response(204)
            self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def identity() -> Iterator[Any]:
    handler = type("Identity", (_Identity,), {"log": [], "refuse": 0, "trusts": [], "locked": ""})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield handler, f"http://127.0.0.1:{server.server_address[1]}/v3"
    server.shutdown()


def trusts_at(url: str, tmp_path: Path, roles: tuple[str, ...] = ("member", "manager")) -> Trusts:
    (tmp_path / "refloat.conf").write_text(
        f"[trustee]\nauth_type = v3password\nauth_url = {url}\nusername = refloat\npassword = s3cret\n"
        "user_domain_name = Default\n"
    )
    return Trusts(config.load([tmp_path / "refloat.conf"]), roles)


def caller_at(url: str, roles: frozenset[str]) -> Caller:
    from keystoneauth1.identity import v3

    plugin = v3.Password(url, username="u", password="p", user_domain_name="Default", project_id="p1")
    return Caller("u1", "p1", roles, plugin)


def test_a_trust_is_made_used_and_deleted(identity: Any, tmp_path: Path) -> None:
    handler, url = identity
    trusts = trusts_at(url, tmp_path)
    granted = trusts.grant(caller_at(url, frozenset({"member", "reader", "admin"})))
    assert granted == {"kind": "trust", "trust_id": "trust-1", "project_id": "p1"}
    (made,) = [body["trust"] for method, path, body in handler.log if path.endswith("/OS-TRUST/trusts")]
    assert made == {
        "trustor_user_id": "u1",
        "trustee_user_id": "refloat-id",
        "project_id": "p1",
        "impersonation": True,
        "roles": [{"name": "member"}],
    }
    cloud = trusts.cloud(granted)
    assert (cloud.project_id, cloud.auth_url) == ("p1", url)
    handler.log.clear()
    cloud.connection.session.get_token()
    assert handler.log[0][2]["auth"]["scope"] == {"OS-TRUST:trust": {"id": "trust-1"}}
    cloud.close()
    handler.log.clear()
    trusts.revoke(granted)
    assert handler.log[-1][:2] == ("DELETE", "/v3/OS-TRUST/trusts/trust-1")


def test_m1_a_trust_never_passes_on_more_than_operations_need(identity: Any, tmp_path: Path) -> None:
    """M1: not all that the caller has, above all not admin; who has nothing to pass on is told so."""
    handler, url = identity
    for has in ({"admin"}, {"admin", "reader"}, {"backup", "reader"}, set()):
        with pytest.raises(InvalidInput, match="operations act with the role member, which you do not have"):
            trusts_at(url, tmp_path, ("member",)).grant(caller_at(url, frozenset(has)))
    assert not [path for method, path, _body in handler.log if method == "POST" and "OS-TRUST" in path]
    for roles in (("admin",), ("member", "Admin"), ()):
        with pytest.raises(InvalidInput, match="trust_roles"):
            trusts_at(url, tmp_path, roles)
    wanted = frozenset({"Member", "manager", "admin", "creator"})
    trusts_at(url, tmp_path, ("member", "creator")).grant(caller_at(url, wanted))
    (made,) = [body["trust"] for _method, path, body in handler.log if path.endswith("/OS-TRUST/trusts")]
    assert made["roles"] == [{"name": "Member"}, {"name": "creator"}]
    assert config.load([]).operations.trust_roles == ["member"]


def test_trusts_that_are_refused(identity: Any, tmp_path: Path) -> None:
    handler, url = identity
    trusts, caller = trusts_at(url, tmp_path), caller_at(url, frozenset({"member"}))
    handler.refuse = 403
    with pytest.raises(InvalidInput, match="does not let the caller delegate"):
        trusts.grant(caller)
    handler.refuse = 500
    with pytest.raises(CloudError, match="make a trust"):
        trusts.grant(caller)
    with pytest.raises(CloudError, match="delete the trust"):
        trusts.revoke({"trust_id": "x", "project_id": "p1"})
    handler.refuse = 404
    trusts.revoke({"trust_id": "x", "project_id": "p1"})
    handler.locked = "trusts"
    trusts.revoke({"trust_id": "x", "project_id": "p1"})
    handler.locked = "all"  # of a service whose own user cannot log in this says nothing of its trusts
    with pytest.raises(AuthFailed, match="delete the trust"):
        trusts.revoke({"trust_id": "x", "project_id": "p1"})
    with pytest.raises(AuthFailed, match="no token"):
        trusts.caller(Caller("u1", "p1"))


def test_one_cloud_for_all_is_for_one_project(
    identity_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = new_user(tmp_path, identity_port)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", command.environ["OS_CLIENT_CONFIG_FILE"])
    authority = NamedCloud("good")
    assert authority.grant(Caller("u", PROJECT)) == {"kind": "cloud", "name": "good"}
    assert authority.caller(Caller("u", PROJECT)).project_id == PROJECT
    for refused in (authority.grant, authority.caller):
        with pytest.raises(InvalidInput, match="one project"):
            refused(Caller("u", "other"))
