"""Checkpoints, sections, chunks, encryption and the stores behind them.

Knows nothing of OpenStack or SQL. Everything the rest of Refloat needs is imported from here; the format of
what is stored is in ``docs/bank-format.md``.
"""

from refloat.bank.bank import Bank, Verified
from refloat.bank.collect import Collected
from refloat.bank.keys import BankKey, create_key, load_key
from refloat.bank.manifest import Checkpoint, CheckpointInfo
from refloat.bank.reader import DataReader
from refloat.bank.sinks import FileSink, Sink
from refloat.bank.sources import Extents, FileSource
from refloat.bank.writer import Writer

__all__ = [
    "Bank",
    "BankKey",
    "Checkpoint",
    "CheckpointInfo",
    "Collected",
    "DataReader",
    "Extents",
    "FileSink",
    "FileSource",
    "Sink",
    "Verified",
    "Writer",
    "create_key",
    "load_key",
]
