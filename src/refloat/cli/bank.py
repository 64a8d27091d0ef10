"""``refloat bank``: what keeps the checkpoints, and how well."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from refloat.cli.bank_command import BANK, INSTEAD_OF, NEW_BANK, BankCommand
from refloat.cli.base import Argument, ShowOne
from refloat.cli.output import Bytes, Items, OrNone, Time
from refloat.errors import InvalidInput, RefloatError

if TYPE_CHECKING:
    from refloat.bank import Bank, Repair, VerificationReport
    from refloat.control.expected import RecordsBeside

_DEPTH = (
    Argument("--depth", "default: full", choices=("manifests", "existence", "full"), default="full"),
    Argument("--sample", "read back only so much of the data, as in 5%%", metavar="PERCENT", default="100%"),
    Argument(
        "--seed", "of the sample (default: a random one, printed)", metavar="NUMBER", type=int, default=0
    ),
)


_OF_PROVIDER = Argument("--provider", "the bank that this provider's file names", metavar="NAME")


class CreateBank(BankCommand, ShowOne):
    """Make a bank, where there is nothing yet, and its key, where there is none.

    Its id is remembered: from now on no other bank is opened there. Keep a copy of the key elsewhere: without
    it no checkpoint can be read.
    """

    examples = """
        refloat bank create
        refloat bank create --bank /mnt/backup/bank
        refloat bank create --provider offsite
    """

    args = (*BANK, _OF_PROVIDER, INSTEAD_OF)

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        with self.banks(parsed_args) as (banks, place), banks.make(place, parsed_args.instead_of) as bank:
            return {"id": bank.id, "url": bank.url, "key": str(place.key_file)}


class AcceptBank(BankCommand, ShowOne):
    """Let another bank take the place of the one that is remembered.

    Give its id: the bank has to be there, and its key to open it. Checkpoints of the former bank are not
    moved, and not touched.
    """

    examples = """
        refloat bank accept 0f6a2c4e...
    """

    args = (*BANK, _OF_PROVIDER, NEW_BANK)

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        with self.banks(parsed_args) as (banks, place):
            (was,) = banks.accept(place, parsed_args.id).values()
        return {"id": parsed_args.id, "url": place.url, "was": was}


class InfoBank(BankCommand, ShowOne):
    """Show what is in the bank: its keys, how many checkpoints, what they take, what is left over.

    Reads what describes the checkpoints, not their data.
    """

    examples = """
        refloat bank info
        refloat bank info --bank /srv/bank --key /root/bank.key -f json
    """

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        with self.bank(parsed_args) as bank:
            info = self.watched("Looking", lambda _tell, cancelled: bank.info(cancelled))
            last = self.notes(bank).last()
        return {
            "id": info.id,
            "url": info.url,
            "format_version": info.version,
            "created_at": Time(info.created_at),
            "keys": len(info.keys),
            "projects": info.projects,
            "checkpoints": info.checkpoints,
            "damaged_checkpoints": info.damaged,
            "objects": info.objects,
            "stored_bytes": Bytes(info.stored),
            "data_bytes": Bytes(info.data),
            "ratio": round(info.ratio, 2),
            "garbage_bytes": None if info.garbage is None else Bytes(info.garbage),
            "quarantined_packs": info.quarantined,
            "unfinished": OrNone(
                [
                    {
                        "checkpoint_id": each.checkpoint_id,
                        "since": datetime.fromtimestamp(each.since, UTC).isoformat(timespec="seconds"),
                    }
                    for each in info.unfinished
                ]
            ),
            "by_project": Items([{"project_id": each, **of} for each, of in info.by_project.items()]),
            "last_verification": Items(last),
        }


class VerifyBank(BankCommand, ShowOne):
    """Verify the bank, or some of its checkpoints: is all that they need there and unharmed.

    Three depths: 'manifests' reads what describes the checkpoints; 'existence' reads the indexes too, and
    sees that every pack is there and whole; 'full' reads everything back, or a random sample of it. What
    checkpoints share is read once. A checkpoint that the records of this machine know, and that the bank does
    not have, is missing. What was removed and is back is named, and what is gone and was not removed. That
    the whole bank was brought back to an earlier state only --against-records tells: this machine remembers
    the bank's last head when it looks so. Looks at the bank only: 'refloat verify' asks the cloud too.
    The exit status is 0 only if all is good. Ctrl-C stops it; --resume goes on.
    """

    examples = """
        refloat bank verify --depth existence
        refloat bank verify --sample 5%
        refloat bank verify 5d0f1c6a-...
        refloat bank verify --resume
        refloat bank verify --depth manifests --against-records
    """

    args = (
        *BANK,
        Argument("checkpoint", "id; default: all", nargs="*"),
        Argument("--project", "only the checkpoints of this project", metavar="ID"),
        *_DEPTH,
        Argument("--resume", "go on with a verification that was interrupted", action="store_true"),
        Argument(
            "--against-records",
            "also see that the bank is not older than when this machine last looked",
            action="store_true",
        ),
    )

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        sample = _share(parsed_args.sample)
        with self.bank(parsed_args) as bank:
            records = self.records(parsed_args)
            expected = self._expected(records, parsed_args)
            report = _verify(self, bank, parsed_args, sample, resume=parsed_args.resume)
            # What was made or deleted meanwhile is in one of the two only.
            missing = expected & self._expected(records, parsed_args) - report.good - report.bad
            older = records.older(bank) if parsed_args.against_records else ""
        if report.damages or missing or older:
            self.exit_status = 1
        return _shown(report, sorted(missing), older)

    def _expected(self, records: RecordsBeside, parsed_args: argparse.Namespace) -> set[str]:
        """The checkpoints that should be there; none, when only some are asked for."""
        if parsed_args.checkpoint:
            return set()
        try:
            return records.expected(parsed_args.project)
        except RefloatError as exc:
            self.say(f"What should be in the bank is not known: {exc}")
            return set()

    def text(self, parsed_args: argparse.Namespace, data: Mapping[str, Any]) -> Iterable[str] | None:
        missing = (f"  {each}: missing: it is known, and not there" for each in data["missing"])
        older = [f"  the bank is not what it was: {data['older']}"] if data["older"] else []
        return [_sentence(data), *older, *missing, *_damage_lines(data["damages"].machine_readable())]


class CollectBank(BankCommand, ShowOne):
    """Remove from the bank what no checkpoint needs.

    Safe while others protect, restore and delete. What a protection that runs may rely on is only marked, and
    goes with a later collection. What a dead process left is undone after a week.
    """

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        with self.bank(parsed_args) as bank:
            done = self.watched("Collecting", lambda _tell, _cancelled: bank.collect())
        return {"freed_bytes": Bytes(done.freed), "objects": done.objects, "postponed": done.postponed}


class RepairBank(BankCommand, ShowOne):
    """After objects of the bank were lost or damaged: say whom it hurts, and keep the rest.

    Verifies the bank, and tells which checkpoints and which resources in them are hurt. With --apply,
    packs that lost something are not relied on any more, so that the next protection stores anew what they
    held, and lost copies of projects' keys are written again. Checkpoints that are partly hurt stay; restore
    what is whole with 'refloat restore CHECKPOINT --only TYPE=NAME'. Those of which nothing can be restored
    go with --delete-damaged. If a verification says that something was removed and is back, or is gone and
    was not removed, and you know why, --accept lets the bank be as it is now. Without --apply nothing is
    changed.
    """

    examples = """
        refloat bank repair
        refloat bank repair --apply --delete-damaged
    """

    args = (
        *BANK,
        Argument("--apply", "do it; without this, only look", action="store_true"),
        Argument(
            "--delete-damaged",
            "with --apply: remove the checkpoints of which nothing can be restored",
            action="store_true",
        ),
        Argument(
            "--accept",
            "with --apply: take the checkpoints, keys and holds that are there for those that should be",
            action="store_true",
        ),
        *_DEPTH,
    )

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        if parsed_args.delete_damaged and not parsed_args.apply:
            self.say("Nothing is deleted without --apply.")
        parsed_args.checkpoint, parsed_args.project = [], None
        sample = _share(parsed_args.sample)
        with self.bank(parsed_args) as bank:
            report = _verify(self, bank, parsed_args, sample)
            found = bank.repair(
                report,
                apply=parsed_args.apply,
                delete_damaged=parsed_args.delete_damaged,
                accept=parsed_args.accept,
                told=partial(self._told, self.records(parsed_args)),
            )
        if found.needed and not found.applied:
            self.exit_status = 1
        return _repaired(found)

    def _told(self, records: RecordsBeside, checkpoint_id: str, why: str) -> None:
        try:
            records.deleted(checkpoint_id, why)
        except RefloatError as exc:
            self.say(f"That checkpoint {checkpoint_id} is deleted is not written down: {exc}")

    def text(self, parsed_args: argparse.Namespace, data: Mapping[str, Any]) -> Iterable[str] | None:
        return list(_repair_lines(data))


def _share(text: str) -> float:
    try:
        share = float(text.rstrip("%")) / 100
    except ValueError:
        raise InvalidInput(f"'{text}' is not a percentage", advice="As in --sample 5%") from None
    if not 0 < share <= 1:
        raise InvalidInput("a sample is more than 0 % and at most 100 %")
    return share


def _verify(
    command: BankCommand,
    bank: Bank,
    parsed_args: argparse.Namespace,
    sample: float,
    *,
    resume: bool = False,
) -> VerificationReport:
    from refloat.errors import Cancelled

    if sample < 1 and parsed_args.depth != "full":
        raise InvalidInput("a sample is of the data, which only --depth full reads")
    notes = command.notes(bank)
    if resume and not notes.interrupted:
        command.say("There is no interrupted verification of this bank; beginning a new one.")
    wanted = [_whole(bank, each) for each in parsed_args.checkpoint] or None
    try:
        report: VerificationReport = command.watched(
            "Verifying",
            lambda tell, cancelled: bank.verify_all(
                parsed_args.depth,
                wanted,
                parsed_args.project,
                sample=sample,
                seed=parsed_args.seed,
                notes=notes,
                resume=resume,
                progress=tell,
                cancelled=cancelled,
            ),
        )
    except Cancelled as exc:
        raise Cancelled(exc.message, advice="Go on with --resume") from exc
    try:
        command.records(parsed_args).write(report)
    except RefloatError as exc:
        command.say(f"What was found is not written down: {exc}")
    if wanted is None and parsed_args.project is None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        notes.keep(
            {"at": now, "depth": report.depth, "sample": report.sample, "damages": len(report.damages)}
        )
    return report


def _whole(bank: Bank, identity: str) -> str:
    fits = [info.id for info in bank.checkpoints() if identity and info.id.startswith(identity)]
    return fits[0] if len(fits) == 1 else identity  # what is wrong with it, the bank says


def _shown(report: VerificationReport, missing: Sequence[str] = (), older: str = "") -> dict[str, Any]:
    return {
        "status": "bad" if report.damages or missing or older else "good",
        "depth": report.depth,
        "sample": report.sample,
        "seed": report.seed,
        "checkpoints": report.checkpoints,
        "packs": report.packs,
        "resumed_packs": report.resumed,
        "data_bytes": Bytes(report.bytes),
        "damages": Items([asdict(each) for each in report.damages]),
        "missing": list(missing),
        "older": older,
    }


def _sentence(data: Mapping[str, Any]) -> str:
    what = {
        "manifests": "read what describes them",
        "existence": f"looked at {data['packs']} packs",
        "full": f"read {data['packs']} packs, {data['data_bytes'].human_readable()} of data",
    }[data["depth"]]
    if data["sample"] < 1:
        what += f", a sample of {100 * data['sample']:g} % (seed {data['seed']})"
    if data["resumed_packs"]:
        what += f", {data['resumed_packs']} packs of it before the interruption"
    return f"{data['checkpoints']} checkpoints are {data['status']}: {what}"


def _damage_lines(damages: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for each in damages:
        where = f"{each['checkpoint_id']} {each['section'] or '(all of it)'}"
        readable = "; what it needs can be read" if each["readable"] else ""
        if not each["checkpoint_id"]:
            where, readable = "the bank itself", ""
        yield f"  {where}: {each['object']}: {each['reason']}{readable}"


def _repaired(found: Repair) -> dict[str, Any]:
    shown = _shown(found.report)
    return {
        "applied": found.applied,
        "verified": Items(
            {name: getattr(value, "machine_readable", lambda v=value: v)() for name, value in shown.items()}
        ),
        "hopeless": Items([{"checkpoint_id": i, "reason": why} for i, why in found.hopeless.items()]),
        "hurt": Items(
            [
                {"checkpoint_id": i, "section": section, "reason": why}
                for i, sections in found.hurt.items()
                for section, why in sections.items()
            ]
        ),
        "manifests": Items(found.manifests),
        "quarantined_packs": Items(found.packs),
        "keys": Items(found.keys),
        "held": Items([{"checkpoint_id": i, "reason": why} for i, why in found.held.items()]),
        "deleted": Items(found.deleted),
        "freed_bytes": Bytes(found.freed),
        "postponed": found.postponed,
    }


def _repair_lines(data: Mapping[str, Any]) -> Iterator[str]:
    names = ("hopeless", "hurt", "manifests", "keys", "deleted")
    lists = {name: data[name].machine_readable() for name in names}
    packs = data["quarantined_packs"].machine_readable()
    would = "" if data["applied"] else "would be "
    if not any([*lists.values(), packs]):
        yield "Nothing is damaged."
        return
    for each in lists["hopeless"]:
        yield f"checkpoint {each['checkpoint_id']}: nothing can be restored: {each['reason']}"
    for each in lists["hurt"]:
        yield f"checkpoint {each['checkpoint_id']}: {each['section']} cannot be restored: {each['reason']}"
    if lists["hurt"]:
        yield "All other resources of these checkpoints can be: refloat restore CHECKPOINT --only TYPE=NAME"
    if packs:
        yield f"{len(packs)} packs {would}quarantined: the next protection stores their content anew"
    for name in [*lists["manifests"], *lists["keys"]]:
        yield f"{name} {would}written anew"
    yield from (f"checkpoint {each} deleted" for each in lists["deleted"])
    yield from (f"kept: {each['reason']}" for each in data["held"].machine_readable())
    if data["postponed"]:
        yield f"Not all was freed yet: {data['postponed']}"
    if not data["applied"]:
        yield "Nothing was changed. Do it with --apply."
