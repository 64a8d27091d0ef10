"""``refloat-status upgrade check``: would the service work, as it is installed and configured here?"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from oslo_config import cfg
from oslo_policy import policy
from oslo_upgradecheck import common_checks, upgradecheck
from oslo_upgradecheck.upgradecheck import Code, Result

from refloat.api import config, policies
from refloat.cli.manage import faults
from refloat.cloud import targets, trusts
from refloat.control.banks import banks_of_service
from refloat.errors import RefloatError
from refloat.providers.provider import Providers
from refloat.records.database import Database


class Checks(upgradecheck.UpgradeCommands):
    """The checks. Run them with the new code and the old configuration, before the services are started."""

    def __init__(self, conf: Any) -> None:
        self.conf = conf

    def _database(self) -> Result:
        """The database is there, and its tables are those that this code needs."""
        with Database(config.settings(self.conf).database_url, migrate=False) as database:
            wrong = faults(database)
        return Result(Code.FAILURE, "; ".join(wrong)) if wrong else Result(Code.SUCCESS)

    def _providers(self) -> Result:
        """Every provider file can be read, and every plugin and mover that it names can work here."""
        notes: list[str] = []
        for provider in self._all_providers():
            provider.plugins()
            movers = provider.movers.problems(connect=True)
            wrong = [f"mover {name}: {why}" for name, why in movers.items() if why]
            notes += [f"{provider.name}: {note}" for note in (*provider.notes, *wrong)]
        return Result(Code.WARNING, "; ".join(notes)) if notes else Result(Code.SUCCESS)

    def _banks(self) -> Result:
        """Every bank that there is can be reached, and its key opens it."""
        settings, providers = config.settings(self.conf), self._all_providers()
        places = [provider.bank or settings.bank for provider in providers]
        with Database(settings.database_url, migrate=False) as database:
            if faults(database):
                return Result(Code.WARNING, "looked at when the database is up to date")
            found = banks_of_service(settings, providers, database).existing(places)
        wrong = [f"{place.url}: {reason}" for place, bank, reason in found if bank is None]
        if wrong:
            return Result(Code.FAILURE, "; ".join(wrong))
        missing = [place.url for place in dict.fromkeys(places) if place not in [item[0] for item in found]]
        if missing:
            return Result(Code.WARNING, f"no bank yet (refloat-manage bank create): {', '.join(missing)}")
        return Result(Code.SUCCESS)

    def _identity(self) -> Result:
        """The service's user can log in, may validate tokens, and is in the catalogue with its endpoints."""
        if self.conf.operations.authority == "cloud":
            return Result(Code.SUCCESS, "not used: [operations] authority is cloud")
        trusts.log_in(self.conf, targets.TRUSTEE)
        login = trusts.log_in(self.conf, "keystone_authtoken")
        if not login.roles & {"service", "admin"}:
            told = f"its roles: {', '.join(sorted(login.roles)) or 'none'}"
            return Result(
                Code.FAILURE, f"the user of [keystone_authtoken] needs the role service or admin; {told}"
            )
        if "data-protect" not in login.services:
            return Result(Code.WARNING, "the catalogue has no service of type data-protect: register it")
        return Result(Code.SUCCESS)

    def _policy(self) -> Result:
        """The policy file is YAML, and names only rules that there are."""
        result = common_checks.check_policy_json(self, self.conf)
        if result.code is not Code.SUCCESS:
            return result
        enforcer: Any = policy.Enforcer(self.conf)
        enforcer.load_rules()
        unknown = set(enforcer.file_rules) - {rule.name for rule in policies.list_rules()}
        if unknown:
            return Result(Code.WARNING, f"rules that nothing asks for: {', '.join(sorted(unknown))}")
        return Result(Code.SUCCESS)

    def _all_providers(self) -> Providers:
        settings = config.settings(self.conf)
        return Providers(settings.providers, settings.key_file, noop=settings.noop)

    _upgrade_checks = tuple(
        (name, (lambda self, check=check: _answer(check, self), {}))
        for name, check in (
            ("Database", _database),
            ("Providers", _providers),
            ("Banks", _banks),
            ("Keystone", _identity),
            ("Policy", _policy),
        )
    )


def _answer(check: Any, checks: Checks) -> Result:
    try:
        found: Result = check(checks)
    except RefloatError as exc:
        return Result(Code.FAILURE, str(exc))
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; the exit status: 0 all is well, 1 look at a warning, 2 something is wrong, 255 it broke."""
    conf = config.make()
    named = os.environ.get("REFLOAT_CONFIG")
    try:
        return int(
            upgradecheck.main(
                conf,
                "refloat",
                Checks(conf),
                argv=list(sys.argv[1:] if argv is None else argv),
                default_config_files=[named] if named else None,
            )
        )
    except cfg.Error as exc:
        sys.stderr.write(f"refloat-status: the configuration cannot be read: {exc}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
