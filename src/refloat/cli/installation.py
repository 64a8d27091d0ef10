"""Has this machine run what is due: a timer of the user's systemd, or a line in his crontab.

Both run ``refloat schedule run-due`` every ten minutes, as one entry of ``clouds.yaml``, with what the
environment says now of where things are. Nothing secret is written there.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import platformdirs
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from refloat.errors import InvalidInput, RefloatError

SYSTEMD, CRON = "systemd", "cron"
_EVERY = 10
_PATIENCE = 30.0
_NAMES = (
    *("OS_CLIENT_CONFIG_FILE", "OS_REGION_NAME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"),
    *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AZBLOB_ACCOUNT_NAME"),
)
_LOGS_IN_BY_ITSELF = ("OS_PASSWORD", "OS_TOKEN", "OS_APPLICATION_CREDENTIAL_SECRET", "OS_AUTH_URL")


@dataclass(frozen=True, slots=True)
class Written:
    """What there is now, and where."""

    scheduler: str
    place: str
    text: str
    changed: bool


class Installation:
    """That of one user, for one entry of ``clouds.yaml``.

    :param cloud: what the entry is called; empty: as ``OS_CLOUD`` says.
    """

    def __init__(self, cloud: str | None, environ: Mapping[str, str] = os.environ) -> None:
        self._cloud = cloud or environ.get("OS_CLOUD", "")
        self._environ = environ
        tame = re.sub(r"[^A-Za-z0-9_-]", "-", self._cloud)
        if tame != self._cloud:  # two names must not come to one
            tame += f"-{hashlib.sha256(self._cloud.encode()).hexdigest()[:8]}"
        self.name = f"refloat-schedules-{tame}"
        self._folder = platformdirs.user_config_path("systemd") / "user"
        self._timer = self._folder / f"{self.name}.timer"
        self._mark = f"# {self.name}"

    @property
    def place(self) -> str:
        """Where it is; empty: nowhere that can be seen."""
        if self._timer.is_file():
            return str(self._timer)
        try:
            lines = self._crontab()
        except RefloatError:  # nobody can say; it is only a hint
            return ""
        return "the crontab" if any(line.endswith(self._mark) for line in lines) else ""

    def scheduler(self) -> str:
        """The one that this user has. :raises RefloatError: he has none."""
        if shutil.which("systemctl") and not _call(["systemctl", "--user", "show-environment"]).returncode:
            return SYSTEMD
        if shutil.which("crontab"):
            return CRON
        raise RefloatError(
            "there is neither a systemd of this user nor cron here",
            advice="Run this where you are logged in, or call 'refloat schedule run-due' from what there is",
        )

    def install(self, scheduler: str) -> Written:
        """Write it, and have it begin. Doing it again changes nothing.

        :raises InvalidInput: it would need a secret, or there is no entry of ``clouds.yaml`` to act as.
        :raises RefloatError: the scheduler refuses; what is written then is named.
        """
        variables = self._variables()
        if scheduler == CRON:
            return self._into_crontab([self._cron_line(variables)])
        texts = {self._folder / f"{self.name}.service": self._service(variables), self._timer: _TIMER}
        changed = [path for path, text in texts.items() if not path.is_file() or path.read_text() != text]
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in changed:
            path.write_text(texts[path])
        self._systemctl("daemon-reload")
        self._systemctl("enable", "--now", self._timer.name)
        words = "\n".join(f"# {path}\n{text}" for path, text in texts.items())
        return Written(SYSTEMD, str(self._timer), words, bool(changed))

    def uninstall(self) -> list[str]:
        """Take away whatever of it there is; what that was."""
        gone = []
        if self._timer.is_file():
            self._systemctl("disable", "--now", self._timer.name)
            for path in (self._timer, self._timer.with_suffix(".service")):
                path.unlink(missing_ok=True)
                gone.append(str(path))
            self._systemctl("daemon-reload")
        if shutil.which("crontab") and self._into_crontab([]).changed:
            gone.append("the line in the crontab")
        return gone

    def _variables(self) -> dict[str, str]:
        """:raises InvalidInput: one is secret, or they do not say as whom to act."""
        if not self._cloud:
            named = [name for name in _LOGS_IN_BY_ITSELF if self._environ.get(name)]
            raise InvalidInput(
                "what runs by itself needs an entry of clouds.yaml to log in with",
                reason=f"here {', '.join(named)} say how to, and are written into no unit" if named else "",
                advice="Name the entry with --os-cloud or OS_CLOUD",
            )
        found = {
            name: value
            for name, value in sorted(self._environ.items())
            if value and (name in _NAMES or (name.startswith("REFLOAT_") and name != "REFLOAT_SERVICE"))
        }
        for name, value in found.items():
            if _has_secret(name, value):
                raise InvalidInput(
                    f"{name} has a password in it, which is written into no unit",
                    advice="Keep that in a file that only you can read: ~/.pgpass for PostgreSQL",
                )
            if "\n" in value:
                raise InvalidInput(f"{name} has a line break in it")
        return found

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "refloat.cli.main", "--os-cloud", self._cloud, "schedule", "run-due"]

    def _service(self, variables: Mapping[str, str]) -> str:
        lines = [f"Environment={_quoted(f'{name}={value}')}" for name, value in variables.items()]
        command = " ".join(_quoted(word).replace("$", "$$") for word in self._command())
        secrets = str(platformdirs.user_config_path("refloat") / "environment").replace("%", "%%")
        return _SERVICE.format(
            environment="".join(f"{line}\n" for line in lines), command=command, secrets=secrets
        )

    def _cron_line(self, variables: Mapping[str, str]) -> str:
        words = [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
        command = " ".join([*words, *map(shlex.quote, self._command())]).replace("%", r"\%")
        return f"*/{_EVERY} * * * * {command} {self._mark}"

    def _into_crontab(self, new: Sequence[str]) -> Written:
        before = self._crontab()
        lines = [line for line in before if not line.endswith(self._mark)] + list(new)
        if lines != before:
            done = _call(["crontab", "-"], "".join(f"{line}\n" for line in lines))
            if done.returncode:
                raise RefloatError("the crontab could not be written", reason=done.stderr.strip())
        return Written(CRON, "the crontab", "\n".join(new), lines != before)

    def _crontab(self) -> list[str]:
        """:raises RefloatError: it cannot be read: then nothing may take its place."""
        if not shutil.which("crontab"):
            return []
        done = _call(["crontab", "-l"])
        if done.returncode and "no crontab" not in done.stderr:
            raise RefloatError("the crontab could not be read", reason=done.stderr.strip())
        return [] if done.returncode else done.stdout.splitlines()

    def _systemctl(self, *words: str) -> None:
        done = _call(["systemctl", "--user", *words])
        if done.returncode:
            raise RefloatError(
                f"systemctl --user {' '.join(words)} failed",
                reason=done.stderr.strip(),
                left_behind=", ".join(map(str, sorted(self._folder.glob(f"{self.name}.*")))),
                advice="Do that where you are logged in, or: refloat schedule install --with cron",
            )


def _call(command: Sequence[str], text: str | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603
            command,
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise RefloatError(f"{' '.join(command)} could not be run", reason=str(exc)) from exc


def _has_secret(name: str, value: str) -> bool:
    if name.endswith(("_PASSWORD", "_SECRET", "_TOKEN", "_PASSPHRASE")):
        return True
    try:
        return make_url(value).password is not None
    except (ArgumentError, ValueError):
        return False


def _quoted(word: str) -> str:
    """A word of a systemd unit."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


_SERVICE = """\
[Unit]
Description=Refloat: run the schedules that are due

[Service]
Type=oneshot
TimeoutStartSec=infinity
EnvironmentFile=-{secrets}
{environment}ExecStart={command}
"""
_TIMER = f"""\
[Unit]
Description=Refloat: run the schedules that are due

[Timer]
OnCalendar=*:0/{_EVERY}
Persistent=true

[Install]
WantedBy=timers.target
"""
