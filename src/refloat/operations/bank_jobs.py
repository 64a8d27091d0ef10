"""Work on a whole bank, for those who only have the service: its contents, its soundness, freeing space."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from refloat.engine.program import Json, StepRun
from refloat.operations.single_step import SingleStepProgram


class BankProgram(SingleStepProgram):
    """Payload: ``provider``, whose bank it is."""

    @property
    def bank(self) -> Any:
        return self.services.bank_for(str(self.payload["provider"]), False).fenced(self._check_lease)


class BankInfoProgram(BankProgram):
    """What is in a bank."""

    kind = "bank_info"

    def look(self, run: StepRun) -> dict[str, Any]:
        info = self.bank.info(run.cancelled)
        return {
            "id": info.id,
            "url": info.url,
            "format_version": info.version,
            "created_at": info.created_at,
            "keys": len(info.keys),
            "projects": info.projects,
            "checkpoints": info.checkpoints,
            "damaged_checkpoints": info.damaged,
            "objects": info.objects,
            "stored_bytes": info.stored,
            "data_bytes": info.data,
            "ratio": round(info.ratio, 2),
            "garbage_bytes": info.garbage,
            "quarantined_packs": info.quarantined,
            "unfinished": [
                {
                    "checkpoint_id": each.checkpoint_id,
                    "since": datetime.fromtimestamp(each.since, UTC).isoformat(timespec="seconds"),
                }
                for each in info.unfinished
            ],
            "by_project": [{"project_id": each, **of} for each, of in info.by_project.items()],
        }


class BankVerifyProgram(BankProgram):
    """Payload: also ``depth``, ``sample`` (percent) and ``of_project`` (empty: all).

    A bank that lacks a checkpoint which should be in it is bad, too, and one that is older than it was.
    """

    kind = "bank_verify"

    def look(self, run: StepRun) -> dict[str, Any]:
        of_project = self.payload["of_project"] or None
        expected = self.services.expected(str(self.payload["provider"]), of_project)
        report = self.bank.verify_all(
            self.payload["depth"],
            None,
            of_project,
            sample=self.payload["sample"] / 100,
            progress=run.progress,
            cancelled=run.cancelled,
        )
        # What was made or deleted meanwhile is in one of the two only.
        expected &= self.services.expected(str(self.payload["provider"]), of_project)
        missing = sorted(expected - report.good - report.bad)
        older = self.services.older(self.bank)
        return {
            "status": "bad" if report.damages or missing or older else "good",
            "depth": report.depth,
            "sample": report.sample,
            "seed": report.seed,
            "checkpoints": report.checkpoints,
            "packs": report.packs,
            "data_bytes": report.bytes,
            "damages": [asdict(each) for each in report.damages],
            "missing": missing,
            "older": older,
            # For the records of these:
            "good": sorted(report.good),
            "bad": sorted(report.bad),
            "sure_depth": report.sure_depth,
        }

    def finish(self, prepared: Json, run: StepRun) -> Json:
        return {name: value for name, value in prepared.items() if name not in ("good", "bad", "sure_depth")}


class BankCollectProgram(BankProgram):
    """Removes from a bank what no checkpoint needs. Repeating it is harmless."""

    kind = "bank_collect"

    def look(self, run: StepRun) -> dict[str, Any]:
        done = self.bank.collect()
        return {"freed_bytes": done.freed, "objects": done.objects, "postponed": done.postponed}


BANK_JOBS = (BankInfoProgram.kind, BankVerifyProgram.kind, BankCollectProgram.kind)
