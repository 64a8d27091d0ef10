"""Which checkpoints should be in a bank, and whether the bank is as its writers left it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import make_url

from refloat.bank import Bank, Freshness, VerificationReport
from refloat.control.deletions import DELETABLE
from refloat.control.payloads import short
from refloat.control.settings import Settings
from refloat.providers.banks import BankLocation
from refloat.providers.provider import Provider, Providers
from refloat.records.banks import BankHeads
from refloat.records.checkpoints import BAD, DELETED, GOOD_IN_BANK, CheckpointRecord, CheckpointRecords
from refloat.records.database import Database
from refloat.records.operations import Operations


def expected(
    database: Database,
    providers: Iterable[Provider],
    shared: BankLocation,
    url: str,
    project_id: str | None = None,
) -> Sequence[CheckpointRecord]:
    """Those that the records know as available, or missing, of the providers whose bank is at a URL.

    :param shared: the bank of the providers that have none of their own.
    :param project_id: of this project only; None: of all.
    """
    whose = [provider.id for provider in providers if (provider.bank or shared).url == url]
    return CheckpointRecords(database).expected(whose, project_id)


def fresh(database: Database, bank: Bank) -> Freshness:
    """Whether a bank is as it was left, by its heads and by the last one that the records remember.

    That is remembered, unless the bank is older than it was: then that is said every time.
    """
    heads = BankHeads(database)
    found = bank.freshness(heads.of(bank.id))
    if found.anchor and not found.older:
        heads.remember(bank.id, found.anchor)
    return found


class RecordsBeside:
    """The records of this machine, for who looks into a bank without them.

    Where there are none yet, none are made.

    :param url: where the bank is.
    """

    def __init__(self, settings: Settings, url: str) -> None:
        self._settings = settings
        self._url = url

    def expected(self, project_id: str | None) -> set[str]:
        """The ids of the checkpoints that should be in it."""
        with self._opened() as database:
            if database is None:
                return set()
            settings = self._settings
            providers = Providers(settings.providers, settings.key_file, noop=settings.noop)
            shared = self._settings.bank
            return {each.id for each in expected(database, providers, shared, self._url, project_id)}

    def older(self, bank: Bank) -> str:
        """Why the bank is not what it was when its head was last seen here; empty: it is, or nobody knows."""
        with self._opened() as database:
            return "" if database is None else fresh(database, bank).older

    def write(self, report: VerificationReport) -> None:
        """Write down what a verification has found of checkpoints."""
        with self._opened() as database:
            if database is not None:
                with database.session() as session:
                    records = CheckpointRecords(database)
                    records.verified(session, report.bad, BAD, report.depth)
                    records.verified(session, report.good, GOOD_IN_BANK, report.sure_depth)

    def deleted(self, checkpoint_id: str, why: str) -> None:
        """Write down that a repair has removed a checkpoint, and why, as an operation that has ended."""
        with self._opened() as database:
            if database is None:
                return
            records = CheckpointRecords(database)
            with database.one_at_a_time(f"checkpoint {checkpoint_id}") as session:
                if not records.move(session, checkpoint_id, DELETABLE, status=DELETED, reason=""):
                    return
                record = records.read(session, checkpoint_id)
                reason = f"refloat bank repair has removed it from the bank: {why}"
                reason += "; what it kept in the cloud, if anything, is not known, and stays"
                payload = {
                    "checkpoint_id": record.id,
                    "project_id": record.project_id,
                    "provider": record.provider_id,
                    "plan": short(record.plan),
                    "parameters": {},
                    "reason": reason,
                }
                result = {"id": record.id, "status": DELETED, "reason": reason}
                Operations(database).add_ended(session, "delete", record.project_id, payload, result)

    @contextmanager
    def _opened(self) -> Iterator[Database | None]:
        url = make_url(self._settings.database_url)
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
            yield None
            return
        with Database(self._settings.database_url) as database:
            yield database
