"""The ``refloat`` command, run as its users run it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

SECONDS = 900


@dataclass(frozen=True, slots=True)
class Answer:
    """What the command answered.

    :param status: its exit status.
    :param data: its standard output, when that is JSON.
    """

    status: int
    stdout: str
    stderr: str
    data: Any = None


class CommandFailed(Exception):
    """The command ended with another status than 0."""

    def __init__(self, words: tuple[str, ...], answer: Answer) -> None:
        self.answer = answer
        told = answer.stderr.strip() or answer.stdout.strip()
        super().__init__(f"refloat {' '.join(words)} ended with {answer.status}: {told}")


@dataclass(frozen=True)
class Command:
    """A user at a shell, with a bank and a memory in one folder.

    :param home: where the bank, its key and the state are.
    :param cloud: the user's entry in ``clouds.yaml``.
    :param aloud: let the user see commands and what they say on standard error.
    :param bank_url: where the bank is when it is not in that folder.
    """

    home: Path
    cloud: str
    aloud: bool = False
    bank_url: str = ""

    @property
    def bank(self) -> Path:
        """The bank's folder."""
        return self.home / "bank"

    @property
    def state(self) -> Path:
        """The folder of the database."""
        return self.home / "state"

    @property
    def environment(self) -> dict[str, str]:
        """The environment that the command runs in."""
        return {
            **os.environ,
            "REFLOAT_BANK": self.bank_url or str(self.bank),
            "REFLOAT_BANK_KEY": str(self.home / "bank.key"),
            "REFLOAT_DATABASE_URL": f"sqlite:///{self.state}/refloat.sqlite",
            "REFLOAT_PROVIDERS": str(self.home / "providers.d"),
        }

    def as_user(self, cloud: str) -> Command:
        """The same bank and memory, used by somebody else."""
        return replace(self, cloud=cloud)

    def words(self, *words: str) -> list[str]:
        """The whole command line."""
        beside = Path(sys.executable).with_name("refloat")
        program = str(beside) if beside.exists() else shutil.which("refloat") or "refloat"
        return [program, "--os-cloud", self.cloud, *words]

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start the command and leave it running."""
        if not self.state.exists():
            self.state.mkdir(parents=True)
            if "--service" not in words:
                self.answer("bank", "create")  # or it is there, and somebody else's state is lost
        return subprocess.Popen(  # noqa: S603 (these words are ours)
            self.words(*words), env=self.environment, text=True, stdin=subprocess.DEVNULL, **options
        )

    def answer(self, *words: str, seconds: float = SECONDS) -> Answer:
        """Run the command to its end, whatever that is."""
        if self.aloud:
            print(f"\n$ refloat --os-cloud {self.cloud} {' '.join(words)}", flush=True)
        heard = None if self.aloud else subprocess.PIPE
        process = self.start(*words, stdout=subprocess.PIPE, stderr=heard)
        try:
            stdout, stderr = process.communicate(timeout=seconds)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        return Answer(process.returncode, stdout, stderr or "", _json_or_none(stdout))

    def run(self, *words: str, seconds: float = SECONDS) -> Answer:
        """Run the command. :raises CommandFailed: it did not end with 0."""
        answer = self.answer(*words, seconds=seconds)
        if answer.status:
            raise CommandFailed(words, answer)
        return answer

    def json(self, *words: str, seconds: float = SECONDS) -> Any:
        """Run the command with ``-f json``; what it printed."""
        return self.run(*words, "-f", "json", seconds=seconds).data


def _json_or_none(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
