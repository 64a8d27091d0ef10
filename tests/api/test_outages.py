"""What the service needs is away for a while: an answer that says so, and then all is well again."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from api_helpers import DEADLINE, DEMO, NOOP, Notes, overrides, run_service
from falcon import testing
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from refloat.api import config
from refloat.api.app import make_application
from refloat.api.deployment import Deployment

ADMIN = "admin,member,reader"


class _Tokens(BaseHTTPRequestHandler):
    """As much of an identity service as it takes to validate a token."""

    def do_GET(self) -> None:
        if self.path.startswith("/v3/auth/tokens"):
            self._answer(200, {"token": self._token("member")})
            return
        url = f"http://127.0.0.1:{self.server.server_address[1]}/v3"
        version = {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": url}]}
        self._answer(200, {"version": version} if "v3" in self.path else {"versions": {"values": [version]}})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(201, {"token": self._token("service")})

    def _token(self, role: str) -> dict[str, Any]:
        domain = {"id": "default", "name": "Default"}
        url = f"http://127.0.0.1:{self.server.server_address[1]}/v3"
        endpoints = [
            {"id": name, "interface": name, "region": "r", "region_id": "r", "url": url}
            for name in ("public", "internal", "admin")
        ]
        return {
            "methods": ["password"],
            "expires_at": "2099-01-01T00:00:00.000000Z",
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "user": {"id": "u1", "name": "tester", "domain": domain},
            "project": {"id": DEMO, "name": "demo", "domain": domain},
            "roles": [{"id": "r1", "name": role}],
            "catalog": [{"type": "identity", "id": "s", "name": "keystone", "endpoints": endpoints}],
        }

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("X-Subject-Token", "a-token")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_args: object) -> None:
        pass


def test_keystone_is_away_and_comes_back(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    (tmp_path / "refloat.conf").write_text(
        "[keystone_authtoken]\nauth_type = v3password\nusername = refloat\npassword = s3cret\n"
        f"auth_url = http://127.0.0.1:{port}/v3\nuser_domain_name = Default\nproject_name = service\n"
        "project_domain_name = Default\nhttp_request_max_retries = 0\ninterface = public\n"
    )
    deployment = Deployment(config.load([tmp_path / "refloat.conf"], overrides(tmp_path)), Notes())
    client = testing.TestClient(make_application(deployment))

    def ask() -> Any:
        return client.simulate_get(f"/v1/{DEMO}/plans", headers={"X-Auth-Token": "a-token"})

    answer = ask()
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json["serviceUnavailable"]["code"] == 503
    assert client.simulate_get("/v1").status_code == 200  # what needs no token needs no Keystone
    server = ThreadingHTTPServer(("127.0.0.1", port), _Tokens)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        answer = ask()
        assert (answer.status_code, answer.json) == (200, {"plans": []})
    finally:
        server.shutdown()
        server.server_close()
        deployment.close()


def test_postgresql_is_away_in_the_middle_of_requests(postgresql: Callable[[], str], tmp_path: Path) -> None:
    url = postgresql()
    name = str(make_url(url).database)
    operator = create_engine(
        make_url(url).set(drivername="postgresql+psycopg", database="postgres"),
        isolation_level="AUTOCOMMIT",
    )

    def allow(connections: bool) -> None:
        with operator.connect() as connection:
            connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {connections}"))
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
            connection.execute(text(query), {"name": name})

    running = run_service(tmp_path, database__connection=url)
    try:
        running.work()
        member = running.user()
        plan = member.plan()
        stop = threading.Event()
        statuses: list[int] = []

        def ask(number: int) -> None:
            user, count = running.user(), 0
            while not stop.is_set():
                count += 1
                if count % 3 or number:
                    statuses.append(user("GET", "plans").status)
                else:
                    body = {"checkpoint": {"plan_id": plan["id"]}}
                    statuses.append(user("POST", f"providers/{NOOP}/checkpoints", body).status)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()

        def until(status: int) -> None:
            deadline = time.monotonic() + DEADLINE
            seen = len(statuses)
            while status not in statuses[seen:]:
                assert time.monotonic() < deadline, statuses[seen:][-5:]
                time.sleep(0.05)

        until(200)
        allow(False)
        until(503)
        allow(True)
        until(200)
        stop.set()
        for thread in threads:
            thread.join()
        assert set(statuses) == {200, 503}
        # What was written down is done, and what was granted is given back.
        member.until("operations?status=running", lambda found: found == [])
        assert member("GET", "operations?status=failed").body == {"operations": []}
        assert member.protected(plan)["status"] == "available"
    finally:
        running.close()
        operator.dispose()
