"""Checkpoints, sections, chunks, encryption and the stores behind them.

Knows nothing of OpenStack or SQL. Everything the rest of Refloat needs is imported from here; the format of
what is stored is in ``docs/bank-format.md``.
"""

from refloat.bank.bank import Bank, Verified
from refloat.bank.collect import Collected
from refloat.bank.fence import Check, unfenced
from refloat.bank.heads import Freshness
from refloat.bank.holds import BankHold
from refloat.bank.info import Info
from refloat.bank.keys import (
    BankKey,
    KeySource,
    Passphrase,
    ProjectKey,
    create_key,
    load_any_key,
    load_key,
    load_passphrase,
)
from refloat.bank.manifest import Checkpoint, CheckpointInfo
from refloat.bank.notes import Notes
from refloat.bank.objects import HeadMemory
from refloat.bank.reader import DataReader
from refloat.bank.references import data_references, with_references
from refloat.bank.repair import Repair
from refloat.bank.sinks import Sink
from refloat.bank.slots import Slot
from refloat.bank.sources import Extents, Former
from refloat.bank.verification_report import DEPTHS, Damage, Depth, VerificationReport
from refloat.bank.writer import Writer

__all__ = [
    "DEPTHS",
    "Bank",
    "BankHold",
    "BankKey",
    "Check",
    "Checkpoint",
    "CheckpointInfo",
    "Collected",
    "Damage",
    "DataReader",
    "Depth",
    "Extents",
    "Former",
    "Freshness",
    "HeadMemory",
    "Info",
    "KeySource",
    "Notes",
    "Passphrase",
    "ProjectKey",
    "Repair",
    "Sink",
    "Slot",
    "VerificationReport",
    "Verified",
    "Writer",
    "create_key",
    "data_references",
    "load_any_key",
    "load_key",
    "load_passphrase",
    "unfenced",
    "with_references",
]
