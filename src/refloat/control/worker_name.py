"""Which of the workers on a host a process is: the name it has in the list of services, as long as it lives.

The first worker is called as its host, the second HOST@2, and so on. A seat is a socket in Linux' abstract
namespace: the kernel gives it to one process, and takes it back when that dies, however it dies. So a worker
that is started again has its old name, and with it what an administrator has said of it (``disabled``).
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import socket


class WorkerName:
    """A seat, taken until it is closed.

    :param host: the name of the first.
    :param where: workers of different databases do not compete; secrets in it are not passed on.
    """

    def __init__(self, host: str, where: str) -> None:
        self.name = ""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        among = hashlib.sha256(f"{host} {where}".encode()).hexdigest()
        for number in itertools.count(1):
            try:
                self._socket.bind(f"\0refloat-worker-{among[:32]}-{number}")
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    continue
                # No such namespace here: then a name that no other living process has.
                self.name = f"{host}@{os.getpid()}"
                return
            self.name = host if number == 1 else f"{host}@{number}"
            return

    def close(self) -> None:
        self._socket.close()
