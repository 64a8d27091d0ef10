"""Protect: what a plan means today becomes a checkpoint in the bank."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from refloat.engine.program import Body, Json, Outcome, StepRun
from refloat.errors import BankDamaged, BankError, CloudError, Conflict, InvalidInput, NoBank, NotFound
from refloat.operations.compared import most_is_lost, not_found_again
from refloat.operations.copyplan import size_of
from refloat.operations.discovery import FAIL, Discovery, Survey, Unfit
from refloat.operations.programs import OperationProgram, stored_section
from refloat.providers.provider import check_parameters, cover
from refloat.resources.base import OperationKind
from refloat.resources.creations import STORED

_LOG = logging.getLogger(__name__)


def whole(checkpoint_id: str) -> str:
    """What is left behind by a protection that was to be undone when its checkpoint was in the bank."""
    return f"checkpoint {checkpoint_id}"


class ProtectProgram(OperationProgram):
    """Payload: ``plan`` ({id, name, resources...}), ``provider``, ``checkpoint_id``, ``parameters``,
    ``unfit`` and ``exclude`` of the plan."""

    kind: ClassVar[OperationKind] = "protect"

    def prepare(self, run: StepRun) -> Json:
        """Find the plan's resources and all that they need.

        The bank is opened before: where there can be none, that is said before the cloud is asked for long.
        """
        data = self.data
        discovery = Discovery(self.services.cloud, self.services.max_resources)
        found = discovery.survey(self.payload["plan"]["resources"], self.payload.get("exclude", ()))
        found, missed = self._compared(found)
        found.refuse(self.payload.get("unfit", FAIL))
        graph = found.graph
        cover(self.plugins, graph, self.provider.name)
        check_parameters(self.plugins, self.kind, self.payload["parameters"])
        # The writer's mark is in the bank before anything is stored, and before it is asked what is there.
        if self.journal.find(self.checkpoint_id, STORED) is None:
            self.journal.intend(self.checkpoint_id, STORED, STORED, {})
        data.writer  # noqa: B018
        return {
            "graph": graph.to_json(),
            "plugins": self.plugin_names(graph),
            "lacks": found.lacks,
            **({"missed": [asdict(each) for each in missed]} if missed else {}),
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def _compared(self, found: Survey) -> tuple[Survey, list[Unfit]]:
        """Beside the plan's last checkpoint: where most of that is not found again, the new one lacks it."""
        plan = self.payload["plan"]
        last = self.services.last_of(str(plan.get("id", "")), self.services.cloud.project_id)
        missed = not_found_again(found, last) if last is not None else []
        if last is not None and most_is_lost(missed, last):
            return replace(found, unfit=(*found.unfit, *missed)), []
        return found, missed

    def finish(self, prepared: Json, run: StepRun) -> Json:
        graph = self.graph(prepared)
        merged = {node.key: self.results(run, node.key) for node in graph}
        sections = {str(key): stored_section(result) for key, result in merged.items()}
        took = datetime.now(UTC) - datetime.fromisoformat(prepared["started_at"])
        measured = {"size": sum(map(size_of, sections.values())), "seconds": round(took.total_seconds())}
        self.data.writer.commit(
            created_at=prepared["started_at"],
            plan=self.payload["plan"],
            provider=self.provider.reference,
            extra={
                "cloud": self.payload.get("cloud") or {"auth_url": self.services.cloud.auth_url},
                "operation_id": self.operation_id,
                "plugins": self.plugin_names(graph),
                **_lacks(prepared),
                **{name: self.payload[name] for name in ("extra_info", "about") if name in self.payload},
                **measured,
            },
            graph=prepared["graph"],
            sections=sections,
            keep_until=self.keep_until(prepared["started_at"]),
        )
        self.hand_over()
        links = (self.plugins[node.type].builds_on(sections[str(node.key)]) for node in graph)
        chain = [list(link) for link in links if link is not None]
        return {
            "id": self.checkpoint_id,
            "status": "available",
            **measured,
            **({"chain": chain} if chain else {}),
            **({"missed": prepared["missed"]} if "missed" in prepared else {}),
            **_lacks(prepared),
            "resources": [
                {"type": node.type, "id": node.id, "name": node.name, **_said(merged[node.key])}
                for node in graph
            ],
        }

    def undo(self, prepared: Json, outcomes: Mapping[str, Outcome], run: StepRun) -> Json | Body:
        """Remove what was made in the cloud, then what was stored in the bank.

        :raises Conflict: the checkpoint is complete: what it keeps in the cloud belongs to it, and is handed
            over.
        """
        if prepared is not None:
            self._refuse_complete()
        return self._undo_both(
            prepared is not None or self.journal.find(self.checkpoint_id, STORED) is not None
        )

    def _refuse_complete(self) -> None:
        try:
            self.bank.checkpoint(self.checkpoint_id, self.project_id)
        except NotFound:
            return
        except BankDamaged as exc:
            _LOG.warning("checkpoint %s is in the bank, and damaged: %s", self.checkpoint_id, exc)
        try:
            self.hand_over()
        except CloudError as exc:
            _LOG.warning("what checkpoint %s keeps in the cloud is still marked: %s", self.checkpoint_id, exc)
        raise Conflict(
            "nothing is undone: the checkpoint is in the bank",
            left_behind=whole(self.checkpoint_id),
            advice="Delete the checkpoint if it is not wanted",
        )

    def _undo_both(self, stored: bool) -> Body:
        """:param stored: there may be something of the checkpoint in the bank."""
        result = yield from self.rolled_back()
        try:
            self.data.abandon()
        except (BankError, InvalidInput, NoBank) as exc:
            if stored:
                raise
            _LOG.info("nothing was stored in the bank, which cannot be opened: %s", exc)
        return result


def _lacks(prepared: Json) -> dict[str, Any]:
    """What of the plan the checkpoint does not have; nothing is said where it has all."""
    return {"lacks": prepared["lacks"]} if prepared.get("lacks") else {}


def _said(result: Mapping[str, Any]) -> dict[str, str]:
    """What a hook has to say of how it was protected, in ``_said``."""
    return {"reason": str(result["_said"])} if result.get("_said") else {}
