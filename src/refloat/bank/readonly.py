"""A store that is only read: for whoever has the key of one project, and for dry runs."""

from __future__ import annotations

from refloat.bank.store import Parts
from refloat.bank.wrappers import Wrapper
from refloat.errors import BankError


class ReadOnly(Wrapper):
    """Refuses to write and to remove."""

    def put(self, name: str, content: Parts) -> None:
        """Refuse."""
        raise self._refusal(name)

    def delete(self, name: str) -> None:
        """Refuse."""
        raise self._refusal(name)

    def _refusal(self, name: str) -> BankError:
        return BankError(f"the bank {self.url} is open for reading only", resource=name)
