"""What is closed when it is left as a context manager."""

from __future__ import annotations

from typing import Protocol, Self


class Closing(Protocol):
    """Something with a ``close``."""

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
