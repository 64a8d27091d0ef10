"""A restore plan for people: the verdict, what is different this time, a table; the rest on request."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from refloat.cli.arguments import short_name
from refloat.cli.output import duration_text, parse_time, size_text

_VERBS = {"reuse": "re-use", "impossible": "CANNOT"}
_COUNTED = {
    "create": "to create",
    "reuse": "to re-use",
    "repair": "to repair",
    "replace": "to REPLACE",
    "keep": "to keep as they are",
    "skip": "left out",
}
_ALWAYS = ("create", "reuse")
_WORST_FIRST = ("lost", "degraded", "mapped")


def plan_text(data: Mapping[str, Any], *, verbose: bool = False) -> Iterator[str]:
    """The lines of a restore plan.

    :param verbose: also what becomes of every attribute, in every restore.
    """
    yield from _verdict(data)
    yield from _about(data)
    if data.get("safety"):
        yield "A checkpoint of what is replaced is made before (not with --no-safety)."
    if unlike := [line for item in data["resources"] for line in _this_time(item)]:
        yield ""
        yield "What is different this time:"
        yield from unlike
    if proposed := [each for item in data["resources"] for each in item.get("proposals", ())]:
        yield ""
        yield "What could be used instead of what is missing:"
        yield from dict.fromkeys(_proposal(each) for each in proposed)
    yield ""
    for item in data["resources"]:
        yield _line(item)
        if verbose:
            yield from _attributes(item)
    if not verbose:
        yield ""
        yield "What is never the same in any restore (ids, dates...) is listed with --verbose."


def _verdict(data: Mapping[str, Any]) -> Iterator[str]:
    count = Counter(item["action"] for item in data["resources"])
    told = [f"{count[word]} {text}" for word, text in _COUNTED.items() if count[word] or word in _ALWAYS]
    if data["possible"]:
        yield f"It is possible: {', '.join(told)}."
        return
    yield f"It is NOT possible, and nothing would be changed ({', '.join(told)}):"
    yield from (f"  ! {problem}" for problem in data["problems"])


def _about(data: Mapping[str, Any]) -> Iterator[str]:
    if checkpoint := data.get("checkpoint"):
        made = parse_time(checkpoint["created_at"])
        age = f", {_age(made)} old" if made else ""
        proven = parse_time(checkpoint.get("verified_at") or "")
        proof = f"found {checkpoint['verified']} {_age(proven)} ago" if proven else "never verified"
        when = f"{made.astimezone():%Y-%m-%d %H:%M}" if made else checkpoint["created_at"]
        yield f"The checkpoint {checkpoint['id'][:8]} of {checkpoint['plan']} is of {when}{age}, {proof}."
    if origin := data.get("origin"):
        cloud = f" of the cloud {origin['auth_url']}" if origin["auth_url"] else ""
        bank = f", out of the bank {origin['bank']}" if origin["bank"] else ""
        yield f"It comes from the project {origin['project_id']}{cloud}{bank}."
        yield "Nothing that is here is taken for an original of it."
    effort = data.get("effort") or {}
    moved = f"{size_text(effort['bytes'])} move" if effort.get("bytes") else "No data moves"
    if data.get("seconds") is None:
        yield f"{moved}. How long it takes is not known: no restore here has been measured yet."
    else:
        yield f"{moved}. It should take about {duration_text(data['seconds'])}, as restores here did."
    if data["needs"]:
        units = data.get("units") or {}
        needs = (_amount(name, amount, units) for name, amount in sorted(data["needs"].items()))
        yield f"It needs: {', '.join(needs)}."


def _amount(name: str, amount: int, units: Mapping[str, str]) -> str:
    word = name.replace("_", " ").replace(" ips", " IPs").replace("image megabytes", "images")
    if name in units:
        return f"{amount} {units[name]} of {word.replace('gigabytes', 'storage')}"
    return f"{amount} {word.removesuffix('s') if amount == 1 else word}"


def _age(moment: datetime) -> str:
    hours = int((datetime.now(UTC) - moment).total_seconds() // 3600)
    if hours < 1:
        return "less than an hour"
    return f"{hours} hours" if hours < 72 else f"{hours // 24} days"


def _this_time(item: Mapping[str, Any]) -> Iterator[str]:
    what = _name(item)
    told = list(item["conflicts"])
    for outcome in _unlike(item):
        known = outcome.get("usual") or outcome["reason"] in told
        # A new name stands in the resource's own line.
        asked = outcome["name"] != "name" and "asked for" in outcome["reason"]
        if not known and (outcome["fidelity"] != "mapped" or asked):
            told.append(_attribute(outcome))
    if item["action"] == "impossible" and item["reason"] not in told:
        told.insert(0, item["reason"])
    yield from (f"  ! {what}: {text}" for text in told)


def _proposal(proposal: Mapping[str, Any]) -> str:
    """What to type for it."""
    word = shlex.quote(f"{proposal['kind']}:{proposal['old']}={proposal['new']}")
    return f"  --map {word}" + (f"   ({proposal['why']})" if proposal["why"] else "")


def _line(item: Mapping[str, Any]) -> str:
    line = f"{_VERBS.get(item['action'], item['action']):<7} {_name(item)}"
    if item["source_name"] and item["source_id"] != item["source_name"]:
        line += f" ({item['source_id']})"
    if item["name"] and item["name"] != item["source_name"]:
        line += f" as {item['name']}"
    if item["new_id"] and item["new_id"] != item["source_id"]:
        line += f": {item['new_id']}"
    if item.get("bytes"):
        line += f", {size_text(item['bytes'])}"
    if item["reason"] and item["action"] != "impossible" and item["reason"] not in item["conflicts"]:
        line += f" - {item['reason']}"
    return line


def _name(item: Mapping[str, Any]) -> str:
    return f"{short_name(item['type'])} {item['source_name'] or item['source_id']}"


def _attributes(item: Mapping[str, Any]) -> Iterator[str]:
    if item["action"] == "create":
        yield from (f"        {_attribute(outcome)}" for outcome in _unlike(item))


def _unlike(item: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    if item["action"] != "create":
        return ()
    unlike = [outcome for outcome in item["attributes"] if outcome["fidelity"] != "exact"]
    return sorted(unlike, key=lambda outcome: _WORST_FIRST.index(outcome["fidelity"]))


def _attribute(outcome: Mapping[str, Any]) -> str:
    text = f"{outcome['name']}: {outcome['fidelity']}"
    if outcome["fidelity"] in ("degraded", "mapped") and outcome["source"] != outcome["restored"]:
        text += f", {_short(outcome['source'])} becomes {_short(outcome['restored'])}"
    return f"{text} ({outcome['reason']})" if outcome["reason"] else text


def _short(value: Any, most: int = 60) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= most else f"{text[: most - 1]}…"
