"""What `devcloud status` tells: does the cloud work, what runs, and where the logs are."""

from __future__ import annotations

import json
from typing import Any

from devcloud import checks
from devcloud.cloud import Cloud
from devcloud.supervisor import Supervisor


def empty(cloud: Cloud) -> dict[str, Any]:
    """The status of a cloud that does not run."""
    return {
        "name": cloud.name,
        "state": "down",
        "home": str(cloud.home),
        "logs": str(cloud.logs),
        "clouds_yaml": str(cloud.clouds_yaml),
        "isolated": cloud.options.isolated,
        "nova_driver": cloud.options.nova_driver,
        "without": list(cloud.options.without),
        "refloat": cloud.options.refloat,
        "storage": list(cloud.options.storage),
        "services": [],
        "checks": [],
    }


def running(cloud: Cloud) -> dict[str, Any]:
    """Asked inside of the cloud's namespaces."""
    processes = Supervisor(cloud.supervisor_socket).processes()
    results = checks.patiently(cloud)
    works = all(result.ok for result in results) and all(process.alive for process in processes)
    return empty(cloud) | {
        "state": "up" if works else "degraded",
        "services": [
            {
                "name": process.name,
                "state": process.state,
                "seconds": process.seconds,
                "log": str(cloud.log(process.name)),
            }
            for process in processes
        ],
        "checks": [
            {"name": r.name, "ok": r.ok, "says": r.says, "seconds": round(r.seconds, 2)} for r in results
        ],
    }


def as_json(status: dict[str, Any]) -> str:
    """For programs."""
    return json.dumps(status, indent=2)


def as_text(status: dict[str, Any]) -> str:
    """For people."""
    kind = "isolated" if status["isolated"] else "on this machine's loopback"
    lines = [f"cloud '{status['name']}' is {status['state']} ({kind}, nova driver {status['nova_driver']})"]
    lines += [f"  logs: {status['logs']}"]
    if status["services"]:
        lines.append("services")
        lines += [
            f"  {s['name']:<26} {s['state'].lower():<10} {s['seconds']:>7} s" for s in status["services"]
        ]
        lines.append("checks")
        lines += [f"  {'ok ' if c['ok'] else 'BAD'}  {c['name']:<20} {c['says']}" for c in status["checks"]]
    return "\n".join(lines)
