"""Ports of one network namespace's loopback that are answered by another's: `relay.py TO FROM PORT...`.

TO and FROM are namespaces' files. Who connects to 127.0.0.1:PORT in TO reaches 127.0.0.1:PORT in FROM.
A socket stays in the namespace that it was made in, so one process stands in both.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import sys

ADDRESS = "127.0.0.1"
CLONE_NEWNET = 0x40000000


def enter(namespace: str) -> None:
    """Be in that network from now on. (os.setns is there since Python 3.12.)"""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(namespace) as file:
        if libc.setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), namespace)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what one side says, its end included."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def serve(listener: socket.socket, port: int) -> None:
    """Answer one port, for ever."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            try:
                far_reader, far_writer = await asyncio.open_connection(ADDRESS, port)
            except OSError:
                return
            with contextlib.closing(far_writer):
                await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    await (await asyncio.start_server(connected, sock=listener)).serve_forever()


async def main(to: str, source: str, ports: list[int]) -> None:
    """Relay the ports until killed."""
    enter(to)
    listeners = {port: socket.create_server((ADDRESS, port)) for port in ports}
    enter(source)
    print("ready", flush=True)
    await asyncio.gather(*(serve(listener, port) for port, listener in listeners.items()))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], [int(word) for word in sys.argv[3:]]))
