"""Runs the command with made-up applications: all of it is real but the identity service."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import yaml

from refloat.cli.main import RefloatApp

PROJECT = "5a1f7c3e5a1f7c3e5a1f7c3e5a1f7c3e"


class _Identity(BaseHTTPRequestHandler):
    """As much of the identity API as it takes to log in, to a cloud that has nothing else.

    :cvar services: URLs of other services by type, for the catalog.
    :cvar project_id: the project that everybody logs in to.
    :cvar projects: how it answers, by their ids, to who asks for other projects; to others 404.
    """

    services: ClassVar[dict[str, str]] = {}
    project_id: ClassVar[str] = PROJECT
    projects: ClassVar[dict[str, int] | None] = None

    def do_GET(self) -> None:
        if self.path.startswith("/v3/projects/"):
            self._project(self.path.rpartition("/")[2])
            return
        url = f"http://127.0.0.1:{self.server.server_address[1]}/v3"
        version = {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": url}]}
        self._answer(200, {"version": version} if "v3" in self.path else {"versions": {"values": [version]}})

    def _project(self, identity: str) -> None:
        status = (self.projects or {}).get(identity, 404)
        project = {"id": identity, "name": "some", "enabled": True, "domain_id": "default"}
        fault = {"code": status, "message": "so it is", "title": "No"}
        self._answer(status, {"project": project} if status == 200 else {"error": fault})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if body["auth"]["identity"]["password"]["user"]["password"] != "right":
            message = "The request you have made requires authentication."
            self._answer(401, {"error": {"code": 401, "message": message, "title": "Unauthorized"}})
            return
        itself = {"identity": f"http://127.0.0.1:{self.server.server_address[1]}/v3"}
        own = {} if self.projects is None else itself
        token = {
            "methods": ["password"],
            "expires_at": "2099-01-01T00:00:00.000000Z",
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "user": {"id": "u1", "name": "tester", "domain": {"id": "default", "name": "Default"}},
            "project": {
                "id": self.project_id,
                "name": "demo",
                "domain": {"id": "default", "name": "Default"},
            },
            "roles": [{"id": "r1", "name": "member"}],
            "catalog": [_entry(kind, url) for kind, url in (self.services | own).items()],
        }
        self._answer(201, {"token": token})

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("X-Subject-Token", "secret-token")
        self.send_header("X-Openstack-Request-Id", "req-11111111-2222-3333-4444-555555555555")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_args: object) -> None:
        pass


def _entry(kind: str, url: str) -> dict[str, Any]:
    endpoint = {
        "id": kind,
        "interface": "public",
        "region": "RegionOne",
        "region_id": "RegionOne",
        "url": url,
    }
    return {"type": kind, "id": kind, "name": kind, "endpoints": [endpoint]}


def serve_identity(
    project_id: str = PROJECT, projects: dict[str, int] | None = None, **services: str
) -> ThreadingHTTPServer:
    """A running identity service.

    :param project_id: the project that everybody logs in to.
    :param projects: how it answers to who asks for other projects.
    :param services: what else is in its catalog: URLs by type, with _ for -.
    """
    catalog = {kind.replace("_", "-"): url for kind, url in services.items()}
    values = {"services": catalog, "project_id": project_id, "projects": projects}
    handler = type("Identity", (_Identity,), values)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def hear_ctrl_c() -> None:
    """What a script starts in the background ignores SIGINT, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(frozen=True)
class Ran:
    """What came of a command."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed."""
        return json.loads(self.out)


class Terminal(io.StringIO):
    """Says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Command:
    """A user with a home of his own."""

    home: Path
    environ: dict[str, str]

    def __call__(self, *argv: str) -> Ran:
        """Run it in this process."""
        return self._run(argv, io.StringIO(), io.StringIO())

    def on_terminal(self, answer: str, *argv: str) -> Ran:
        """Run it in this process as if a person saw its messages, and typed an answer."""
        return self._run(argv, Terminal(f"{answer}\n"), Terminal())

    def _run(self, argv: tuple[str, ...], stdin: io.StringIO, err: io.StringIO) -> Ran:
        out = io.StringIO()
        try:
            status = RefloatApp(stdin=stdin, stdout=out, stderr=err).run(argv)
        except SystemExit as exc:
            status = int(exc.code or 0)
        return Ran(status, out.getvalue(), err.getvalue())

    def start(
        self, *argv: str, slow: float = 0, stderr: int = subprocess.PIPE, **environ: str
    ) -> subprocess.Popen[str]:
        """Run it in a process of its own.

        :param slow: so many seconds pass in each resource's ``on_main`` when protecting.
        """
        code = (
            "import sys, time; from refloat.cli.main import main\n"
            "from refloat.resources.noop import NoopProtect\n"
            f"NoopProtect.on_main = lambda self, context: time.sleep({slow}) or {{'name': 'x'}}\n"
            "sys.exit(main(sys.argv[1:]))"
        )
        return subprocess.Popen(
            [sys.executable, *(["-c", code] if slow else ["-P", "-m", "refloat.cli.main"]), *argv],
            preexec_fn=hear_ctrl_c,
            env={**self.environ, **environ},
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def run(self, *argv: str) -> Ran:
        """The same, to its end."""
        process = self.start(*argv)
        out, err = process.communicate(timeout=240)
        return Ran(process.returncode, out, err)


def new_user(home: Path, port: int) -> Command:
    """A user with a clouds.yaml and nothing else."""

    def cloud(password: str, port: int) -> dict[str, Any]:
        auth = {
            "auth_url": f"http://127.0.0.1:{port}/v3",
            "username": "tester",
            "password": password,
            "project_name": "demo",
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        }
        return {"auth": auth, "region_name": "RegionOne", "refloat_retries": 2}

    clouds = {"good": cloud("right", port), "refused": cloud("wrong", port), "gone": cloud("right", 9)}
    (home / "clouds.yaml").write_text(yaml.safe_dump({"clouds": clouds}))
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "REFLOAT_"))}
    environ |= {
        "HOME": str(home),
        "OS_CLIENT_CONFIG_FILE": str(home / "clouds.yaml"),
        "OS_CLOUD": "good",
        "REFLOAT_NOOP": "1",
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_CACHE_HOME": str(home.parent),  # which plugins are installed need not be found out each time
        "COLUMNS": "100",
    }
    return Command(home, environ)


def set_up_schedule(refloat: Command, *rules: str) -> None:
    """A plan, a trigger, and a schedule of them called shop."""
    for argv in (
        ("plan", "create", "app", "--resource", "noop=tree:3", "--provider", "noop"),
        ("trigger", "create", "nightly", "--cron", "30 2 * * *", "--timezone", "Europe/Berlin"),
        ("schedule", "create", "shop", "--trigger", "nightly", "--plan", "app", *rules),
    ):
        made = refloat(*argv)
        assert made.status == 0, made.err


FAILED = "Refloat::Noop tree:12 (tree-12): no: flavor not found. Nothing is left behind"
"""What the command says when that resource has failed so, and all is undone."""

REFUSED = [
    (("plan", "show", "x"), 1, "there is no plan 'x'. See: refloat plan list"),
    (("protect", "x"), 1, "there is no plan 'x'"),
    (("checkpoint", "show", "x"), 1, "there is no checkpoint 'x'"),
    (("checkpoint", "delete", "x"), 1, "there is no checkpoint 'x'"),
    (("verify", "x"), 1, "there is no checkpoint 'x'"),
    (("restore", "x"), 1, "there is no checkpoint 'x'"),
    (("restore", "x", "--only", "sever=web"), 2, "Did you mean server?"),
    (("operation", "show", "x"), 1, "there is no operation 'x'"),
    (("operation", "resume", "x"), 1, "there is no operation 'x'"),
    (("operation", "cancel", "x"), 1, "there is no operation 'x'"),
    (("provider", "show", "x"), 1, "there is no provider 'x'. Providers: "),
    (("protectable", "list", "x"), 2, "'x' is not a type"),
    (("protectable", "show", "noop", "x"), 1, "there is no Refloat::Noop 'x'"),
    (("plan", "list", "-c", "colour"), 2, "there is no column 'colour'. Columns: id, name"),
    (("plan", "create", "p", "--resource", "noop=x"), 1, "there is no Refloat::Noop 'x'"),
    (("plan", "create", "p", "--resource", "noop=tree:3", "--provider", "x"), 1, "there is no provider"),
    (("plan", "create", "", "--resource", "noop=x"), 2, "a plan needs a name"),
    (("plan", "set", "x", "--name", " "), 2, "a plan needs a name"),
    (
        ("plan", "create", "p", "--resource", "noop=tree:3", "--parameter", "noop:x=1"),
        2,
        "Refloat::Noop (protect) has no parameter 'x'",
    ),
    (
        ("plan", "create", "p", "--resource", "server=web", "--provider", "noop"),
        2,
        "provider noop does not protect resources of type OS::Nova::Server",
    ),
]
"""Commands that cannot be, their exit status and what they say; a user has done nothing before."""
