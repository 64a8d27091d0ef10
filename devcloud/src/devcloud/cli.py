"""The devcloud command."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fcntl
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from devcloud import namespaces, schemas, shell, status, up
from devcloud.cloud import OUTSIDE, Cloud, Options, load
from devcloud.errors import DevcloudError, NeedsRoot, NotRunning, UsageError
from devcloud.progress import Progress

LOCK_SECONDS = 600
FIXED = {
    "isolated": "--isolated",
    "nova_driver": "--nova-driver",
    "without": "--without",
    "unlike": "--unlike",
}
"""What a cloud keeps until its state is wiped; everything else can be added to it."""
BRING_UP_SECONDS = 900


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="devcloud", description="A real OpenStack on this machine.")
    result.add_argument("--name", help="which cloud (default: $DEVCLOUD_NAME, or main)")
    commands = result.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, about: str | None = None) -> argparse.ArgumentParser:
        # one without a help text is not listed
        made = commands.add_parser(name, help=about) if about else commands.add_parser(name)
        made.description = about
        # accepted on either side of the command
        made.add_argument("--name", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        return made

    def with_options(made: argparse.ArgumentParser) -> None:
        made.add_argument("--isolated", action="store_true", default=None,
                          help="in a network of its own; reached with 'devcloud exec'")  # fmt: skip
        made.add_argument("--nova-driver", choices=("libvirt", "fake"), help="fake: servers are only records")
        made.add_argument("--with-fake-host", action="store_true", default=None,
                          help="a second host with servers that are only records")  # fmt: skip
        made.add_argument("--without", action="append", choices=("swift",), help="leave a service out")
        made.add_argument("--storage", action="append", choices=("file", "ceph"),
                          help="where volumes and images are; the first named is the default")  # fmt: skip
        made.add_argument("--with-refloat", action="store_true", default=None,
                          help="run Refloat's service in it, as deploy/ installs it")  # fmt: skip
        made.add_argument("--refloat-config", metavar="FILE", type=Path,
                          help="options of that service besides those of deploy/")  # fmt: skip
        made.add_argument("--unlike", action="store_true", default=None,
                          help="other network, flavors and volume type than usual")  # fmt: skip
        made.add_argument("-v", "--verbose", action="store_true", help="tell every step")

    with_options(
        command("up", "Bring the cloud up; if it is there, add to it what is asked for and not there.")
    )
    with_options(command("reset", "Throw the cloud's state away and bring it up empty."))
    down = command("down", "Stop the cloud. Its state is kept (its database until the next reboot).")
    down.add_argument("--wipe", action="store_true", help="delete its state, too")
    told = command("status", "Does the cloud work? Ends with 0 if so, 1 if not, 4 if it is down.")
    told.add_argument("-f", "--format", choices=("text", "json"), default="text")
    command("env", 'Print what a client needs: eval "$(devcloud env)"')
    run = command("exec", "Run a command in the cloud's namespaces: devcloud exec -- CMD")
    run.add_argument(
        "--public",
        action="store_true",
        help="on the public network, outside of the cloud: floating addresses are seen there",
    )
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="-- CMD")
    logs = command("logs", "List the logs, or show the end of one.")
    logs.add_argument("service", nargs="?")
    logs.add_argument("-n", "--lines", type=int, default=50)
    command("_bring-up").add_argument("-v", "--verbose", action="store_true")
    told = command("_status")
    told.add_argument("-f", "--format", default="text")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command; the result is the exit code."""
    arguments = parser().parse_args(argv)
    try:
        if os.geteuid() != 0:
            raise NeedsRoot
        cloud = load(arguments.name)
        return int(COMMANDS[arguments.command](cloud, arguments))
    except DevcloudError as error:
        print(f"devcloud: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def with_options(cloud: Cloud, arguments: argparse.Namespace, *, adding: bool = False) -> Cloud:
    """The cloud with the options that were asked for; those not named stay as the cloud was made.

    :param adding: storage that is named is added to what is there, not instead of it.
    """
    old = cloud.options
    storage = (*(old.storage if adding or not arguments.storage else ()), *(arguments.storage or ()))
    new = Options(
        isolated=old.isolated if arguments.isolated is None else arguments.isolated,
        nova_driver=arguments.nova_driver or old.nova_driver,
        without=old.without if arguments.without is None else tuple(sorted(set(arguments.without))),
        refloat=old.refloat if arguments.with_refloat is None else arguments.with_refloat,
        refloat_config=str(arguments.refloat_config.absolute())
        if arguments.refloat_config
        else old.refloat_config,
        fake_host=old.fake_host if arguments.with_fake_host is None else arguments.with_fake_host,
        unlike=old.unlike if arguments.unlike is None else arguments.unlike,
        storage=tuple(dict.fromkeys(storage)),
    )
    if new.ceph and not new.libvirt:
        raise UsageError("--storage ceph is for real servers and volumes, not for --nova-driver fake")
    return dataclasses.replace(cloud, options=new)


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold a lock file; wait for another holder, but not for ever."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        end = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise DevcloudError(f"another devcloud is at work ({path} is locked)") from None
                time.sleep(0.3)
        yield


def own_lock(cloud: Cloud) -> Path:
    """The lock of whoever changes this cloud's state."""
    # not below its home, which a wipe deletes
    return cloud.shared / f"{cloud.name}.lock"


def command_up(cloud: Cloud, arguments: argparse.Namespace) -> int:
    """`devcloud up`."""
    with lock(own_lock(cloud)):
        there = cloud.options_file.exists()
        wanted = with_options(cloud, arguments, adding=there)
        fixed = [option for name, option in FIXED.items()
                 if getattr(wanted.options, name) != getattr(cloud.options, name)]  # fmt: skip
        if there and fixed:
            raise UsageError(
                f"cloud '{cloud.name}' was made with other options ({cloud.options_file}), and what cannot be"
                f" changed is {', '.join(fixed)}: 'devcloud reset' makes it anew with these, and empty"
            )
        return bring_up(wanted, arguments.verbose, Progress(everything=arguments.verbose))


def command_reset(cloud: Cloud, arguments: argparse.Namespace) -> int:
    """`devcloud reset`."""
    with lock(own_lock(cloud)):
        wanted = with_options(cloud, arguments)
        progress = Progress(everything=arguments.verbose)
        up.down(cloud, progress, wipe=True)
        return bring_up(wanted, arguments.verbose, progress)


def bring_up(cloud: Cloud, verbose: bool, progress: Progress) -> int:
    """Install, launch, and run the inner part in the namespaces."""
    # a dot: no cloud has such a name, which its own lock has
    with lock(cloud.shared / ".install.lock"):
        up.install(cloud, progress)
    cloud.save_options()
    up.launch(cloud, progress)
    words = ["_bring-up", *(["-v"] if verbose else [])]
    code = subprocess.run(_inside(cloud, words), timeout=BRING_UP_SECONDS, check=False).returncode
    if code == 0:
        progress.say("done")
        print(f'eval "$(devcloud --name {cloud.name} env)"' if not cloud.options.isolated
              else f"devcloud --name {cloud.name} exec -- COMMAND")  # fmt: skip
    return code


def _inside(cloud: Cloud, words: list[str]) -> list[str]:
    """This program with other arguments, in the cloud's namespaces."""
    command = [sys.executable, "-m", "devcloud", "--name", cloud.name, *words]
    if namespaces.inside(cloud):
        return command
    init = namespaces.find(cloud)
    if init is None:
        raise NotRunning(cloud.name)
    return namespaces.enter(cloud, init, ["env", f"DEVCLOUD_HOME={cloud.base}", *command])


def command_bring_up(cloud: Cloud, arguments: argparse.Namespace) -> int:
    """The part of `up` that runs in the namespaces."""
    up.bring_up(cloud, Progress(everything=arguments.verbose))
    return 0


def command_down(cloud: Cloud, arguments: argparse.Namespace) -> int:
    """`devcloud down`."""
    with lock(own_lock(cloud)):
        up.down(cloud, Progress(), wipe=arguments.wipe)
        if arguments.wipe:
            schemas.forget(cloud)
    return 0


def command_status(cloud: Cloud, arguments: argparse.Namespace) -> int:
    """`devcloud status`."""
    if namespaces.inside(cloud) or namespaces.find(cloud):
        return subprocess.run(
            _inside(cloud, ["_status", "-f", arguments.format]), timeout=180, check=False
        ).returncode
    tell(status.empty(cloud), arguments.format)
    return NotRunning.exit_code


def command_inner_status(cloud: Cloud, arguments: argparse.Namespace) -> int:
    """The part of `status` that runs in the namespaces."""
    told = status.running(cloud)
    tell(told, arguments.format)
    return 0 if told["state"] == "up" else 1


def tell(told: dict[str, object], form: str) -> None:
    """Print a status."""
    print(status.as_json(told) if form == "json" else status.as_text(told))


def command_env(cloud: Cloud, arguments: argparse.Namespace) -> int:
    """`devcloud env`."""
    if not cloud.clouds_yaml.exists():
        raise NotRunning(cloud.name)
    for name, value in cloud.environment.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def command_exec(cloud: Cloud, arguments: argparse.Namespace) -> int:
    """`devcloud exec`."""
    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    if not words:
        raise UsageError("nothing to run: devcloud exec -- CMD")
    if arguments.public:
        words = ["ip", "netns", "exec", OUTSIDE, *words]
    if not namespaces.inside(cloud):
        init = namespaces.find(cloud)
        if init is None:
            raise NotRunning(cloud.name)
        words = namespaces.enter(cloud, init, words)
    os.environ.update(cloud.environment)
    os.execvp(words[0], words)


def command_logs(cloud: Cloud, arguments: argparse.Namespace) -> int:
    """`devcloud logs`."""
    if arguments.service is None:
        for path in sorted(cloud.logs.glob("*.log")):
            print(f"{path.stem:<26} {path.stat().st_size:>10}  {path}")
        return 0
    path = cloud.log(arguments.service)
    if not path.exists():
        raise UsageError(f"there is no log of '{arguments.service}': devcloud logs")
    print(shell.run(["tail", "-n", str(arguments.lines), path]).stdout, end="")
    return 0


COMMANDS = {
    "up": command_up,
    "reset": command_reset,
    "down": command_down,
    "status": command_status,
    "env": command_env,
    "exec": command_exec,
    "logs": command_logs,
    "_bring-up": command_bring_up,
    "_status": command_inner_status,
}
