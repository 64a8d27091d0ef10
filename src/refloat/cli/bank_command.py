"""What the commands on a bank share."""

from __future__ import annotations

import argparse
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, ClassVar

from refloat.cli.base import Args, Argument, BaseCommand
from refloat.cli.progress import Standing, display
from refloat.cli.running import Interrupts

if TYPE_CHECKING:
    from refloat.bank import Bank, Notes
    from refloat.cli.backend import Backend
    from refloat.control.expected import RecordsBeside
    from refloat.providers.banks import BankLocation, Banks

_TICK = 0.2

BANK = (
    Argument("--bank", "the bank (default: REFLOAT_BANK, or your own)", metavar="URL"),
    Argument(
        "--key",
        "its key: a file, or barbican:ID (default: REFLOAT_BANK_KEY, or your own)",
        metavar="FILE",
    ),
)
OF_PROJECT = Argument("--project", "of this project, which need not be there any more", metavar="ID")
INSTEAD_OF = Argument(
    "--instead-of", "of the bank that was there, and will not come back", metavar="ID", default=""
)
NEW_BANK = Argument("id", "of the bank that is there now")


class FromBank(BaseCommand):
    """A command on checkpoints, also on those in a bank that one has the key of, of whatever project."""

    _chosen: argparse.Namespace

    def run(self, parsed_args: argparse.Namespace) -> int:
        self._chosen = parsed_args
        return int(super().run(parsed_args))

    def open(self) -> Backend:
        chosen = self._chosen
        every = getattr(chosen, "all_projects", None)
        if not (chosen.bank or chosen.key or chosen.project or every):
            return super().open()
        if not chosen.bank:
            self.refuse_service(f"'{self.cmd_name}' with --key, --project or --all-projects")
        from refloat.cli.embedded import Embedded, Reach
        from refloat.control.banks import absolute
        from refloat.control.settings import Settings

        # Without a choice, a list is of the user's project; a checkpoint that is named may be of any.
        project_id = chosen.project or ("" if every in (True, None) else None)
        settings = Settings.load().of_bank(chosen.bank, chosen.key)
        key = (
            settings.key_file
            if str(settings.key_file).startswith("barbican:")
            else settings.key_file.absolute()
        )
        return Embedded(
            settings.of_bank(absolute(settings.bank_url), key),
            self.app.options.os_cloud,
            notify=self.say,
            reach=Reach(project_id),
        )


class BankCommand(BaseCommand):
    """A command that works on a bank, without any cloud."""

    args: ClassVar[Args] = BANK

    @contextlib.contextmanager
    def bank(self, parsed_args: argparse.Namespace) -> Iterator[Bank]:
        """The bank; it is never made by looking at it."""
        with self.banks(parsed_args) as (banks, place), banks.at(place) as bank:
            yield bank

    @contextlib.contextmanager
    def banks(self, parsed_args: argparse.Namespace) -> Iterator[tuple[Banks, BankLocation]]:
        """The user's banks, and the place of the one that is meant."""
        from refloat.cloud import Cloud
        from refloat.control.banks import banks_of_user
        from refloat.control.settings import Settings
        from refloat.providers.provider import Providers
        from refloat.records.database import Database

        if not parsed_args.bank:
            self.refuse_service(f"'{self.cmd_name}'")
        settings = Settings.load()
        if name := getattr(parsed_args, "provider", None):
            known = Providers(settings.providers, settings.key_file, noop=settings.noop)
            place = known.find(name).bank or settings.bank
            settings = settings.of_bank(place.url, place.key_file)
        settings = settings.of_bank(parsed_args.bank, parsed_args.key)
        with Database(settings.database_url) as database:
            cloud = Cloud(self.app.options.os_cloud)
            yield banks_of_user(settings, database, self.say, cloud), settings.bank

    def records(self, parsed_args: argparse.Namespace) -> RecordsBeside:
        """What is known of this bank's checkpoints on this machine."""
        from refloat.control.expected import RecordsBeside
        from refloat.control.settings import Settings

        settings = Settings.load()
        return RecordsBeside(settings, parsed_args.bank or settings.bank_url)

    def notes(self, bank: Bank) -> Notes:
        """What verifications of this bank remember on this machine."""
        import platformdirs

        from refloat.bank import Notes

        return Notes(platformdirs.user_state_path("refloat") / "verify", bank.id)

    def watched(
        self, title: str, work: Callable[[Callable[[int, int], None], Callable[[], bool]], Any]
    ) -> Any:
        """Do something long with a display; Ctrl-C cancels it.

        :param work: is given what to tell its progress to, and what tells whether it is cancelled.
        """
        at = [Standing()]
        working: Future[Any] = Future()

        def tell(done: int, total: int) -> None:
            at[0] = Standing(bytes_done=done, bytes_total=total)

        with Interrupts(lambda: "Left at once.") as interrupts:

            def run() -> None:
                try:
                    working.set_result(work(tell, interrupts.asked.is_set))
                except BaseException as exc:
                    working.set_exception(exc)

            shown = display(self.app.stderr, title, quiet=not self.app.options.verbose_level)
            threading.Thread(target=run, name="bank", daemon=True).start()
            try:
                while not wait([working], _TICK).done:
                    shown.update(at[0])
            finally:
                shown.close()
        return working.result()
