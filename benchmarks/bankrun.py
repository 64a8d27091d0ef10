"""One step with a bank, as a process of its own: what ``benchmarks/bank.py`` measures of Refloat.

python benchmarks/bankrun.py init|backup|restore|verify BANK [CHECKPOINT [FILE]]
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from refloat.bank import Bank, create_key, load_key
from refloat.movers.files import FileSink, FileSource


def main(step: str, where: str, checkpoint: str = "", file: str = "") -> None:
    """Do one step."""
    key = Path(where + ".key")
    if step == "init":
        Bank.open(where, create_key(key), create=True).close()
        return
    with Bank.open(where, load_key(key)) as bank:
        if step == "backup":
            with bank.writer(checkpoint, "benchmark") as writer, FileSource(file) as source:
                ref = writer.put_data(source)
                now = datetime.now(UTC).isoformat()
                writer.commit(created_at=now, graph=[], sections={"disk": {"data": ref}})
        elif step == "restore":
            ref = bank.checkpoint(checkpoint).sections["disk"]["data"]
            with bank.open_data(ref) as reader:
                reader.restore_to(FileSink(file), flush=False)
        elif step == "verify":
            bank.verify(checkpoint)
        else:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
