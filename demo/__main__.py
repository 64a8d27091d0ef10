"""``python -m demo``: the main job on the cloud of ``OS_CLIENT_CONFIG_FILE``. See ``--help``."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import openstack

from demo.application import Application
from demo.build import Builder, NotBuilt
from demo.command import Command, CommandFailed
from demo.compare import Row, broken, show
from demo.destroy import destroy
from demo.inventory import counts, inventory
from demo.mainjob import MainJob
from demo.service import Refused, ServiceJob
from demo.waiting import TooLong

CALL_SECONDS = 120


def parser() -> argparse.ArgumentParser:
    """The options."""
    result = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    result.add_argument(
        "what",
        nargs="?",
        default="run",
        choices=("run", "build", "destroy", "inventory"),
        help="run: all of it; build, destroy: only the application; inventory: what the project holds",
    )
    result.add_argument("--cloud", default="demo", help="who builds and protects (default: demo)")
    result.add_argument("--manager", default="demo-manager", help="who restores (default: demo-manager)")
    result.add_argument("--prefix", default="", help="of every name")
    result.add_argument("--image", default="guest", help="the image that the servers boot (default: guest)")
    result.add_argument(
        "--provider", default="default", help="how it is protected; bank: nothing stays in the cloud"
    )
    result.add_argument("--bank", default="", metavar="URL", help="where the bank is (default: a folder)")
    result.add_argument(
        "--service", default="", metavar="URL", help="by this service alone, as in http://127.0.0.1:8799/v1"
    )
    result.add_argument(
        "--keep", action="store_true", help="leave the restored application and the checkpoint"
    )
    return result


def connect(name: str) -> openstack.connection.Connection:
    """A connection, with a limit on each call."""
    return openstack.connect(cloud=name, api_timeout=CALL_SECONDS)


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; the exit status is 0 only if all that was promised holds."""
    options = parser().parse_args(argv)
    app = Application(options.prefix, options.image)
    cloud = connect(options.cloud)
    if options.what == "build":
        Builder(cloud, app).build()
    elif options.what == "destroy":
        destroy(cloud, app, others=[connect(options.manager)])
    elif options.what == "inventory":
        found = inventory(cloud)
        print(json.dumps({"counts": counts(found), **found}, indent=1))
    else:
        return run(cloud, app, options)
    return 0


def run(cloud: openstack.connection.Connection, app: Application, options: argparse.Namespace) -> int:
    """The main job, shown."""
    home = Path(tempfile.mkdtemp(prefix="refloat-demo-"))
    command = Command(home, options.cloud, aloud=True, bank_url=options.bank)
    manager = connect(options.manager)
    job = MainJob(cloud, manager, command, options.manager, app, say=_say, provider=options.provider)
    if options.service:
        job = ServiceJob(
            options.service, options.cloud, options.manager, command, app, _say, options.provider
        )
    try:
        rows = main_job(job)
        if not options.keep:
            job.clean_up()
    except (CommandFailed, NotBuilt, Refused, TooLong) as error:
        print(f"\nThe demo stopped: {error}", file=sys.stderr)
        print(f"What it made is left as it is; Refloat's files are in {home}.", file=sys.stderr)
        print("To delete the application: python -m demo destroy", file=sys.stderr)
        return 1
    show(rows)
    for name, seconds in job.times.items():
        print(f"{seconds:6.0f} s  {name}")
    print(f"{sum(job.times.values()):6.0f} s  in all\n")
    wrong = [f"{row.resource}, {row.attribute}: {row.before} became {row.after}" for row in broken(rows)]
    wrong += job.problems
    for line in wrong:
        print(f"NOT AS PROMISED  {line}")
    if options.keep:
        print(f"Kept: the application, and checkpoint {job.checkpoint}; Refloat's files are in {home}")
    else:
        shutil.rmtree(home)
    promised = sum(row.promised for row in rows)
    if wrong:
        print(f"{len(wrong)} promises were not kept.")
        return 1
    print(f"What came back is what was lost: {promised} of {promised} attributes and contents are equal.")
    return 0


def main_job(job: MainJob) -> list[Row]:
    """The phases up to the comparison."""
    job.build()
    job.protect()
    job.lose()
    job.plan_restore()
    job.restore()
    return job.compare()


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
