"""What the commands work with in this process; each is opened when it is first used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from refloat.bank import Bank
from refloat.closing import Closing
from refloat.cloud import Cloud
from refloat.cloud.authority import Caller, NamedCloud
from refloat.control.banks import banks_of_user
from refloat.control.brought_back import Guard
from refloat.control.grants import Grants
from refloat.control.settings import Settings
from refloat.control.submit import Submitter
from refloat.notify.events import Notices
from refloat.providers.banks import BankLocation, Banks
from refloat.providers.provider import Provider, Providers
from refloat.records.database import Database
from refloat.records.operations import COMMAND, SERVICE, Operations
from refloat.records.plans import Plans
from refloat.records.quotas import DEFAULTS, UNLIMITED, Quotas
from refloat.records.terms import OperatorTerms

_LIFETIME = timedelta(days=1)
"""Of what is granted for an operation; an entry of clouds.yaml grants nothing."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Whose checkpoints are looked at, in the one bank of the settings, wherever they were made.

    :param project_id: of this project; empty: of all that the key opens; None: of the user's own.
    """

    project_id: str | None = None


class EmbeddedSession(Closing):
    """One user on this machine.

    :param cloud_name: an entry of ``clouds.yaml``; None: ``OS_CLOUD`` or the ``OS_*`` variables.
    :param reach: None: the checkpoints of the user's project in all banks that are known here.
    :param notify: told, in a sentence, what the user should know (a new key was made...).
    """

    def __init__(
        self,
        settings: Settings | None = None,
        cloud_name: str | None = None,
        *,
        notify: Callable[[str], None] | None = None,
        reach: Reach | None = None,
    ) -> None:
        self.reach = reach
        self.settings = settings or Settings.load()
        self.cloud = Cloud(cloud_name)
        self.notify = notify or (lambda _sentence: None)

    @cached_property
    def database(self) -> Database:
        database = Database(self.settings.database_url)
        # Before anything new is asked for, which would be parked with the rest.
        Guard(database, self.settings.seen).look()
        return database

    @cached_property
    def providers(self) -> Providers:
        """The providers that are built in, and those of files. :raises InvalidInput: a file is wrong."""
        return Providers(self.settings.providers, self.settings.key_file, noop=self.settings.noop)

    @cached_property
    def banks(self) -> Banks:
        return banks_of_user(self.settings, self.database, self.notify, self.cloud)

    def bank_location(self, provider: Provider) -> BankLocation:
        return provider.bank or self.settings.bank

    def bank_of(self, provider: Provider) -> Bank:
        return self.banks.at(self.bank_location(provider))

    @cached_property
    def plans(self) -> Plans:
        return Plans(self.database, self.cloud.project_id)

    @cached_property
    def operations(self) -> Operations:
        return Operations(self.database, self.cloud.project_id)

    @cached_property
    def authority(self) -> NamedCloud:
        return NamedCloud(self.cloud.name, self.cloud)

    @cached_property
    def caller(self) -> Caller:
        return Caller(self.cloud.user_id, self.cloud.project_id)

    @cached_property
    def grants(self) -> Grants:
        return Grants(self.database, self.authority, _LIFETIME)

    @cached_property
    def quotas(self) -> Quotas:
        return Quotas(self.database, dict.fromkeys(DEFAULTS, UNLIMITED))

    @cached_property
    def notices(self) -> Notices:
        with self.database.session() as session:
            return Notices(OperatorTerms.read(session).destinations)

    def submitter(self, *, scheduled: bool = False) -> Submitter:
        """What begins operations.

        :param scheduled: for any worker on this database to run; else for this process.
        """
        cloud = {"name": self.cloud.name or "", "auth_url": self.cloud.auth_url}
        return Submitter(
            self.database,
            self.providers,
            self.quotas,
            self.grants,
            self.authority,
            runner=SERVICE if scheduled else COMMAND,
            common={} if scheduled else {"cloud": cloud},
        )

    def close(self) -> None:
        for name in ("database", "cloud"):
            if name in self.__dict__:
                getattr(self, name).close()
