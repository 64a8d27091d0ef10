"""Upkeep of the banks of providers."""

from __future__ import annotations

import argparse
from typing import Any, ClassVar

from refloat.client.osc.arguments import Arg
from refloat.client.osc.base import PROVIDER, Show


class _OnBank(Show):
    action: ClassVar[str]
    args: ClassVar[tuple[Arg, ...]] = (PROVIDER,)

    def call(self, parsed_args: argparse.Namespace) -> Any:
        return self.service.maintain_bank(parsed_args.provider_id, self.action, **self.sent(parsed_args))


BankInfo = _OnBank.of("Begin to count what is in a provider's bank (administrators).", action="info")
BankVerify = _OnBank.of(
    "Begin to verify a provider's bank (administrators).",
    "",
    PROVIDER,
    Arg("--depth", "how thoroughly", choices=("manifests", "existence", "full")),
    Arg("--sample", "so many percent of the data, chosen at random", type=float),
    action="verify",
)
BankCollect = _OnBank.of(
    "Begin to remove from a provider's bank what no checkpoint needs (administrators).", action="collect"
)
