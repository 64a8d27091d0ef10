"""A process that moves a volume's data and is killed in the middle: of ``tests/mover_contract.py``."""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path

from refloat.testing.movers import WatchedSink, WatchedSource, on_call
from tests.mover_contract import Place, keep, opened
from tests.unit.support.bank_helpers import open_bank


def middle() -> None:
    print("in the middle", flush=True)
    time.sleep(600)


def main() -> None:
    order = json.loads(sys.argv[1])
    module, name, *arguments = order["place"]
    place: Place = getattr(importlib.import_module(module), name)(*arguments)
    bank = open_bank(Path(order["bank"]))
    if order["task"] == "keep":
        keep(bank, WatchedSource(opened(place, "v"), on_call(6, middle)))
    else:
        bank.open_data(order["ref"]).restore_to(
            WatchedSink(place.sink("w", order["size"]), on_call(6, middle))
        )


if __name__ == "__main__":
    main()
