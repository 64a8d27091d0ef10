"""The banks of a service, and those of a user of the command: whose are they, and where is that written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from refloat.bank.urls import parse
from refloat.cloud import Cloud
from refloat.control.settings import Settings
from refloat.providers.banks import BankLocation, Banks, BankUsers
from refloat.providers.provider import Providers
from refloat.records.banks import BankRecords
from refloat.records.database import Database


def banks_of_service(
    settings: Settings, providers: Providers, database: Database, notify: Callable[[str], None] | None = None
) -> Banks:
    """The banks of a service, known by the ids of the providers that use them."""

    def at(place: BankLocation) -> list[str]:
        return [each.id for each in providers if (each.bank or settings.bank) == place]

    users = BankUsers(at, "refloat-manage bank create PROVIDER", "refloat-manage bank accept PROVIDER ID")
    return Banks(settings.bank, BankRecords(database), users, notify)


def banks_of_user(
    settings: Settings,
    database: Database,
    notify: Callable[[str], None] | None = None,
    cloud: Cloud | None = None,
) -> Banks:
    """The banks of a user of the command, known by their URLs."""
    own = settings.bank if settings.own_bank else None
    users = BankUsers(
        lambda place: [absolute(place.url)], "refloat bank create", "refloat bank accept ID", own
    )
    return Banks(settings.bank, BankRecords(database), users, notify, cloud)


def absolute(url: str) -> str:
    """A bank's URL, that of a folder as it is from everywhere on this machine."""
    found = parse(url)
    return found.url if found.scheme != "file" else f"file://{Path(found.prefix).absolute()}"
