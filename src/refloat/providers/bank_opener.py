"""Opens banks for requests, which cannot wait for one that does not answer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from refloat.bank import Bank
from refloat.providers.banks import BankLocation, Banks
from refloat.providers.provider import Provider

PATIENCE = 20.0
"""Seconds that a request waits for a bank to be opened, which is done once in the life of a process."""


class BankOpener:
    """Opens banks within :data:`PATIENCE`.

    :param location: where the bank of a provider is.
    """

    def __init__(self, banks: Banks, location: Callable[[Provider], BankLocation]) -> None:
        self._banks = banks
        self._location = location
        self._openers = ThreadPoolExecutor(4, "bank")

    def close(self) -> None:
        self._openers.shutdown(wait=False, cancel_futures=True)

    def bank_of(self, provider: Provider) -> Bank:
        """The bank of a provider. :raises TimeoutError: it does not answer."""
        opening = self._openers.submit(self._banks.at, self._location(provider))
        try:
            return opening.result(PATIENCE)
        except TimeoutError:
            opening.cancel()
            raise TimeoutError(f"the bank of provider {provider.name} does not answer") from None
