"""What requests are answered with: records, providers, quotas; shared by a whole process."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cached_property
from typing import Any

from refloat.api import config
from refloat.bank import Bank
from refloat.cloud import targets
from refloat.cloud.authority import Authority, NamedCloud
from refloat.cloud.trusts import Trusts
from refloat.control.actions import Actions
from refloat.control.banks import banks_of_service
from refloat.control.grants import Grants
from refloat.control.restore_plans import KeptPlans
from refloat.control.submit import Submitter
from refloat.engine.reader import Reader
from refloat.notify.events import Notices
from refloat.providers.banks import BankLocation
from refloat.providers.provider import Provider, Providers
from refloat.records.checkpoints import CheckpointRecords
from refloat.records.database import Database
from refloat.records.operations import Operations
from refloat.records.plans import Plans
from refloat.records.quotas import DEFAULTS, Quotas
from refloat.records.services import ServiceRecords
from refloat.records.tables import OPERATIONS
from refloat.records.terms import OperatorTerms
from refloat.schedule.scheduled_operations import ScheduledOperations

_LOG = logging.getLogger(__name__)

PATIENCE = 20.0
"""Seconds that a request waits for a bank to be opened, which is done once in the life of a process."""


class Deployment:
    """One installation of the service.

    :param conf: of :func:`refloat.api.config.load`.
    :param authority: how callers and operations act in the cloud; None: as the configuration says.
    :param wake: called when there is something for a worker in this process to do.
    """

    def __init__(
        self, conf: Any, authority: Authority | None = None, wake: Callable[[], None] = lambda: None
    ) -> None:
        self.conf = conf
        self.settings = config.settings(conf)
        self.database = Database(self.settings.database_url)
        self.providers = Providers(self.settings.providers, self.settings.key_file, noop=self.settings.noop)
        self.authority = authority or _authority(conf)
        self.quotas = _quotas(conf, self.database)
        self.operations = Operations(self.database)
        lifetime = timedelta(days=conf.operations.trust_days)
        self.grants = Grants(self.database, self.authority, lifetime)
        self.banks = banks_of_service(self.settings, self.providers, self.database, _LOG.warning)
        self._openers = ThreadPoolExecutor(4, "bank")
        self.submitter = Submitter(self.database, self.providers, self.quotas, self.grants, self.authority)
        self.told = config.told(conf)
        self.notices = Notices(self.told)
        terms = config.terms(conf)
        with self.database.session() as session:
            OperatorTerms(terms.minimum, self.told, conf.restore.approval).write(session)
        self.schedules = ScheduledOperations(
            self.database, self.providers, self.authority, self.quotas, terms, notices=self.notices
        )
        self.restore_plans = KeptPlans(self.database, self.submitter)
        self.actions = Actions(self.database, self.authority, self.grants)
        self.checkpoints = CheckpointRecords(self.database)
        self.services = ServiceRecords(self.database)
        self.max_limit: int = conf.api.max_limit
        self.wake = wake

    def plans(self, project_id: str | None) -> Plans:
        """The plans of a project; None: of all."""
        return Plans(self.database, project_id)

    def bank_location(self, provider: Provider) -> BankLocation:
        return provider.bank or self.settings.bank

    def bank_of(self, provider: Provider) -> Bank:
        """The open bank of a provider. :raises TimeoutError: it does not answer."""
        opening = self._openers.submit(self.banks.at, self.bank_location(provider))
        try:
            return opening.result(PATIENCE)
        except TimeoutError:
            opening.cancel()
            raise TimeoutError(f"the bank of provider {provider.name} does not answer") from None

    @cached_property
    def reader(self) -> Reader:
        return Reader(self.database, OPERATIONS)

    def close(self) -> None:
        self._openers.shutdown(wait=False, cancel_futures=True)
        self.database.close()


def _quotas(conf: Any, database: Database) -> Quotas:
    defaults = {name: conf.quota[name] for name in DEFAULTS}
    if conf.quota.driver == "database":
        return Quotas(database, defaults)
    from refloat.cloud.unified_limits import KeystoneLimits
    from refloat.control.unified_quotas import UnifiedLimits

    return UnifiedLimits(database, defaults, KeystoneLimits(conf.config_file or conf.default_config_files))


def _authority(conf: Any) -> Authority:
    if conf.operations.authority == "cloud":
        return NamedCloud(conf.operations.cloud)
    found = targets.configured(conf, conf.restore.allowed_targets, conf.restore.regions)
    return Trusts(conf, conf.operations.trust_roles, conf.operations.region, found)
