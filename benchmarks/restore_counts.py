"""What a way of restoring costs: time, CPU time of everything in the cloud, and requests to each service.

Each request to a service of a devcloud has a connection of its own (the services close it after an answer):
the number of connections opened to its port is that of its requests, those of other services included.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_CHAIN = "restore-benchmark"
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Cost:
    """Of one run.

    :param wall: seconds.
    :param cpu: CPU seconds of all processes in the cloud's namespaces: its services, Heat, the client.
    :param requests: by service.
    """

    wall: float = 0.0
    cpu: float = 0.0
    requests: dict[str, int] = field(default_factory=dict)


class Meter:
    """Measures runs, inside a cloud's namespaces.

    :param ports: of the services, by name.
    """

    def __init__(self, ports: Mapping[str, int]) -> None:
        self._ports = ports

    def __enter__(self) -> Meter:
        if f"-N {_CHAIN}" in _iptables("-S"):  # of a run that was killed
            self.__exit__()
        _iptables("-N", _CHAIN)
        for port in self._ports.values():
            _iptables("-A", _CHAIN, "-p", "tcp", "--syn", "--dport", str(port))
        _iptables("-I", "INPUT", "-j", _CHAIN)
        return self

    def __exit__(self, *_exc: object) -> None:
        _iptables("-D", "INPUT", "-j", _CHAIN)
        _iptables("-F", _CHAIN)
        _iptables("-X", _CHAIN)

    @contextmanager
    def measured(self) -> Iterator[Cost]:
        """Measure what is done meanwhile."""
        cost = Cost()
        _iptables("-Z", _CHAIN)
        begun, cpu = time.monotonic(), _cpu()
        yield cost
        cost.wall = time.monotonic() - begun
        cost.cpu = _cpu() - cpu
        cost.requests = self._counted()

    def _counted(self) -> dict[str, int]:
        lines = _iptables("-L", _CHAIN, "-v", "-x", "-n").splitlines()[2:]
        return {name: int(line.split()[0]) for name, line in zip(self._ports, lines, strict=True)}


def _iptables(*words: str) -> str:
    done = subprocess.run(["iptables", "-w", *words], check=True, capture_output=True, text=True)
    return done.stdout


def _cpu() -> float:
    """CPU seconds so far of all processes there are, and of the children they have waited for."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(int(value) for value in fields[11:15])
    return ticks / _TICKS
