"""How faithfully a restore brings back each attribute: declared beforehand, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

Fidelity: TypeAlias = Literal["exact", "mapped", "degraded", "lost"]
"""``exact``: the same value. ``mapped``: the same meaning under another id. ``degraded``: something
else that works. ``lost``: not restored."""


STILL_THERE = "it is still there"
"""Why a resource is re-used."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a kind of resource.

    :param fidelity: what a restore achieves when nothing stands in the way.
    :param how: how it is restored; why it is not, when degraded or lost; who could lift that.
    :param value: reads it from a resource's section; by default the section's item of that name.
    """

    name: str
    fidelity: Fidelity
    how: str = ""
    value: Callable[[Mapping[str, Any]], Any] | None = None

    def read(self, section: Mapping[str, Any]) -> Any:
        return self.value(section) if self.value else section.get(self.name)


@dataclass(frozen=True, slots=True)
class AttributeOutcome:
    """What will become of one attribute in one restore.

    :param restored: what it will be; None: it is lost, or not known before it is restored (an id...).
    :param usual: it is so in every restore: as declared.
    """

    name: str
    source: Any
    restored: Any
    fidelity: Fidelity
    reason: str = ""
    usual: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Change:
    """That an attribute will, this time, not be what its table promises."""

    restored: Any
    fidelity: Fidelity
    reason: str


def exact(*names: str) -> tuple[Attribute, ...]:
    return tuple(Attribute(name, "exact") for name in names)


def plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    return value


def asked_for(option: str, restored: Any) -> Change:
    return Change(restored, "mapped", f"as asked for with {option}")


def instead(
    table: Iterable[Attribute], saved: Mapping[str, Any], now: Mapping[str, Any], said: str
) -> tuple[AttributeOutcome, ...]:
    """The outcomes where another thing is used, as it is, in the place of one.

    :param now: its section.
    :param said: who asks for it.
    """
    values = ((a.name, a.read(saved), a.read(now)) for a in table)
    changes = {
        name: Change(value, "exact", "") if was == value else Change(value, "mapped", said)
        for name, was, value in values
    }
    return outcomes(table, saved, changes)


def nothing_to_lose(section: Mapping[str, Any], *names: str) -> dict[str, Change]:
    """Those of the attributes that the original did not have: nothing is lost, whatever the table says."""
    return {name: Change(section[name], "exact", "") for name in names if not section[name]}


def outcomes(
    table: Iterable[Attribute],
    section: Mapping[str, Any],
    changes: Mapping[str, Change] | None = None,
) -> tuple[AttributeOutcome, ...]:
    """The outcome of every attribute of a table: as declared, but for ``changes`` (by name)."""
    changes = changes or {}
    result = []
    for attribute in table:
        source = attribute.read(section)
        change = changes.get(attribute.name)
        if change is not None:
            result.append(
                AttributeOutcome(attribute.name, source, change.restored, change.fidelity, change.reason)
            )
        else:
            # What is mapped is only known when it is restored; what it was would be wrong.
            restored = None if attribute.fidelity in ("lost", "mapped") else source
            reason = "" if attribute.fidelity == "exact" else attribute.how
            outcome = AttributeOutcome(attribute.name, source, restored, attribute.fidelity, reason, True)
            result.append(outcome)
    return tuple(result)
