"""Commands and waits, both always bounded in time."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from devcloud.errors import DevcloudError

LAST_LINES = 30


class WaitTimeout(Exception):
    """The awaited thing did not happen; the text is what the last try said."""


class Cancelled(Exception):
    """Another part of the work has failed; go no further."""


def run(
    command: Sequence[str | Path],
    *,
    timeout: float = 60,
    log: Path | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command; its output goes to the log, or is returned. A failure says what and where."""
    words = [str(word) for word in command]
    environment = {**os.environ, **env} if env else None
    try:
        if log is None:
            done = subprocess.run(
                words, capture_output=True, text=True, timeout=timeout, env=environment, cwd=cwd,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        else:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("a") as out:
                done = subprocess.run(
                    words, stdout=out, stderr=subprocess.STDOUT, text=True, timeout=timeout, env=environment,
                    cwd=cwd, stdin=subprocess.DEVNULL,
                )  # fmt: skip
    except FileNotFoundError as error:
        raise DevcloudError(f"{words[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise DevcloudError(f"{' '.join(words[:3])} took longer than {timeout:.0f} s{tail(log)}") from error
    if check and done.returncode:
        said = tail(log) if log else f"\n{indent((done.stderr or done.stdout or '').strip())}"
        raise DevcloudError(f"{' '.join(words[:3])} failed with {done.returncode}{said}")
    return done


def indent(text: str) -> str:
    """The last lines, as a part of a message."""
    return "\n".join(f"    {line}" for line in text.splitlines()[-LAST_LINES:])


def tail(log: Path | None) -> str:
    """The end of an error message: where the log is, and its last lines."""
    if log is None:
        return ""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 32768))
            text = file.read().decode(errors="replace")
    except OSError:
        return f"\n  log: {log} (not there)"
    return f"\n  log: {log}\n{indent(text)}"


def wait(
    probe: Callable[[], object],
    seconds: float,
    *,
    every: float = 0.3,
    cancel: threading.Event | None = None,
) -> None:
    """Call `probe` until it returns something true. An exception or a false value means "not yet"."""
    end = time.monotonic() + seconds
    while True:
        try:
            answer = probe()
            if answer:
                return
            said = "not yet"
        except DevcloudError as error:
            said = str(error)
        except (Fatal, Cancelled):
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        if time.monotonic() > end:
            raise WaitTimeout(said)
        if cancel is not None and cancel.wait(every):
            raise Cancelled
        if cancel is None:
            time.sleep(every)


class Fatal(Exception):
    """Raised by a probe: waiting longer is of no use."""
