"""What a restore asks of the services, what its plan says that it will, and what a project holds in full."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

from tests.fullstack.random_applications import ADDRESS, GROUP, NETWORK, ROUTER, SERVER, VOLUME

RESTORE = "POST /backups/.../restore"
IMAGE, KEYPAIR, SERVER_GROUP = "OS::Glance::Image", "OS::Nova::KeyPair", "OS::Nova::ServerGroup"
UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
Plan = Mapping[tuple[str, str], Mapping[str, Any]]


@dataclass(frozen=True)
class Call:
    """A request that changes something, and its answer."""

    method: str
    path: str
    body: Any
    status: int
    made: tuple[str, ...]
    """The ids of what it made, by the answer."""

    def __str__(self) -> str:
        return f"{self.method} {self.path} {json.dumps(self.body)[:300]} -> {self.status}"


@dataclass
class Recorder:
    """All requests that change something, while it listens."""

    project: str
    calls: list[Call] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, request: PreparedRequest, answer: Response) -> None:
        path = (request.path_url or "").partition("?")[0]
        path = re.sub(rf"^/(v[\d.]+/)?({self.project}/)?", "/", path)
        if request.method in ("GET", "HEAD") or path == "/auth/tokens":
            return
        body, told = _json(request.body), _json(answer.content) if request.method == "POST" else None
        call = Call(str(request.method), path, body, answer.status_code, tuple(_ids(told)))
        with self._lock:
            self.calls.append(call)

    @contextmanager
    def listening(self) -> Iterator[None]:
        self.calls = []
        send = HTTPAdapter.send

        def sent(adapter: HTTPAdapter, request: PreparedRequest, *given: Any, **how: Any) -> Response:
            answer = send(adapter, request, *given, **how)
            self.note(request, answer)
            return answer

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(HTTPAdapter, "send", sent)
            yield


def _json(content: Any) -> Any:
    try:
        return json.loads(content)
    except (TypeError, ValueError):
        return None


def _ids(told: Any) -> Iterator[str]:
    """The ids of what an answer shows as made: at the top, one below, and in a list there."""
    for thing in told.values() if isinstance(told, dict) else ():
        for each in thing if isinstance(thing, list) else [thing]:
            if isinstance(each, dict) and "id" in each:
                yield str(each["id"])
    if isinstance(told, dict) and isinstance(told.get("id"), str):
        yield told["id"]


# --- what is planned


def planned_calls(plan: Plan, through_images: bool) -> Counter[str]:
    """What a restore plan comes to: creations by their kind, and changes of what is there by its id.

    Not counted: what is done about a thing that the restore has made itself.

    :param through_images: the data of volumes is in the bank, and comes back as temporary images.
    """
    counted: Counter[str] = Counter()
    for (kind, identity), planned in plan.items():
        if planned["action"] in ("create", "repair", "replace", "reuse") and kind in _CALLS:
            for call in _CALLS[kind](identity, planned, plan):
                counted[call] += 1
            if kind == VOLUME and planned["action"] != "reuse":
                counted["POST /images" if through_images else RESTORE] += 1
    return counted


def _network(_identity: str, planned: Mapping[str, Any], _plan: Plan) -> Iterator[str]:
    decisions = planned["decisions"]
    if planned["action"] == "create":
        yield "POST /networks"
    for subnet in decisions.get("subnets", ()):
        if not subnet.get("id"):
            yield "POST /subnets"
    yield from ("POST /ports" for _port in decisions.get("ports", ()))


def _group(_identity: str, planned: Mapping[str, Any], _plan: Plan) -> Iterator[str]:
    if planned["action"] == "create":
        yield "POST /security-groups"
    else:
        added = (said for said in planned["conflicts"] if not said.startswith("no rule "))
        yield from ("POST /security-group-rules" for _said in added)


def _router(identity: str, planned: Mapping[str, Any], _plan: Plan) -> Iterator[str]:
    if planned["action"] == "create":
        yield "POST /routers"
    decisions = planned["decisions"]
    for interface in decisions.get("interfaces", ()):
        if not interface.get("reuse"):
            yield "POST /ports"
        if planned["action"] != "create":
            yield f"PUT /routers/{identity}/add_router_interface"
    if planned["action"] != "create":
        if decisions.get("gateway"):
            yield f"PUT /routers/{identity}"
        yield from (f"PUT /routers/{identity}/add_extraroutes" for _route in decisions.get("routes", ()))


def _address(_identity: str, planned: Mapping[str, Any], _plan: Plan) -> Iterator[str]:
    if planned["action"] == "create":
        yield "POST /floatingips"


def _volume(identity: str, planned: Mapping[str, Any], _plan: Plan) -> Iterator[str]:
    if planned["action"] == "create":
        yield "POST /volumes"
    if planned["action"] == "replace":
        yield f"REPLACE {identity}"


def _image(_identity: str, planned: Mapping[str, Any], _plan: Plan) -> Iterator[str]:
    decisions = planned["decisions"]
    yield from ("POST /images" for _disk in decisions.get("disks", ()))
    if planned["action"] == "create" and not decisions.get("reuse") and decisions.get("data"):
        yield "POST /images"


def _server(identity: str, planned: Mapping[str, Any], plan: Plan) -> Iterator[str]:
    decisions, action = planned["decisions"], planned["action"]
    cards = decisions.get("ports", ())
    for card in cards:
        if not card["reuse"]:
            yield "POST /ports"
        yield from _led(card, plan)
    if action == "create":
        yield "POST /servers"
    if action == "repair":
        yield from (f"POST /servers/{identity}/os-interface" for _card in cards)
        yield from (f"PUT /ports/{joined['port']}" for joined in decisions["groups"])
        for lost in decisions["floating_ips"]:
            yield from _led(lost, plan)
    if action in ("repair", "replace"):
        attached = [*decisions["volumes"], *decisions.get("detach", ())]
        yield from (f"POST /servers/{identity}/os-volume_attachments" for _volume in attached)
    if action == "replace":
        for volume in decisions["detach"]:
            yield f"DELETE /servers/{identity}/os-volume_attachments/{volume['id']}"
        yield f"POST /servers/{identity}/action rebuild"
        if decisions["runs"]:
            yield f"POST /servers/{identity}/action os-stop"
            yield f"POST /servers/{identity}/action os-start"


def _led(card: Mapping[str, Any], plan: Plan) -> Iterator[str]:
    """Floating IPs that are there already and are led to a card."""
    for floating in card["floating_ips"]:
        planned = plan.get((ADDRESS, floating["id"]))
        if planned is None or planned["action"] != "create":
            yield f"PUT /floatingips/{(planned or {}).get('new_id') or floating['id']}"


_CALLS = {
    NETWORK: _network,
    GROUP: _group,
    ROUTER: _router,
    ADDRESS: _address,
    VOLUME: _volume,
    IMAGE: _image,
    SERVER: _server,
    KEYPAIR: lambda _i, planned, _p: ["POST /os-keypairs"] * (planned["action"] == "create"),
    SERVER_GROUP: lambda _i, planned, _p: ["POST /os-server-groups"] * (planned["action"] == "create"),
}


def _volume_in(path: str) -> str:
    return path.split("/")[2] if path.startswith("/volumes/") else ""


def executed_calls(calls: list[Call], operation: str, plan: Plan) -> Counter[str]:
    """What was done, in the same words."""
    replaced = {identity for (_kind, identity), planned in plan.items() if planned["action"] == "replace"}
    own: set[str] = {f"refloat-{operation}"}
    counted: Counter[str] = Counter()
    for call in calls:
        if call.status >= 400:
            counted[f"REFUSED {call}"] += 1
            continue
        is_restore = re.fullmatch(r"/backups/[^/]+/restore", call.path) is not None
        counted[RESTORE] += is_restore
        volume = call.body["restore"].get("volume_id") if is_restore else _volume_in(call.path)
        if volume in replaced:
            counted[f"REPLACE {volume}"] = 1  # and its settings, which its data has changed
        if is_restore or volume in replaced:
            continue
        target = next((part for part in reversed(call.path.split("/")) if _is_id(part)), "")
        if call.path == "/os-keypairs" and call.body["keypair"]["name"] in own:
            continue
        if set(call.path.split("/")) & own and "os-volume_attachments" not in call.path:
            own |= set(call.made)
            continue
        if call.method == "POST" and not target:
            own |= set(call.made)
            if call.path == "/security-group-rules":
                bodies = call.body.get("security_group_rules") or [call.body["security_group_rule"]]
                counted["POST /security-group-rules"] += sum(
                    b["security_group_id"] not in own for b in bodies
                )
            else:
                counted[f"POST {call.path}"] += 1
            continue
        words = f"{call.method} {call.path}"
        if call.path.endswith("/action"):
            words += f" {next(iter(call.body))}"
        counted[words] += 1
    return +counted


def _is_id(part: str) -> bool:
    return bool(UUID.fullmatch(part)) or part.startswith("refloat-")


# --- what is there


FLEETING = {
    *("updated_at", "revision_number", "location", "links", "launched_at", "progress", "task_state"),
    # Nova's own copies of what Neutron tells, renewed now and then
    *("addresses", "security_groups", "computed"),
}
_PORT_STATES = {"ports": {"status"}, "floating ips": {"status"}}
_LENT = {
    "volumes": {"attachments", "status", "metadata", "host"},
    "server groups": {"member_ids", "members"},
    "networks": {"subnet_ids"},
    "security groups": {"security_group_rules"},
    "ports": {"device_id", "device_owner", "binding_host_id", "binding_vif_type", "binding_vif_details"},
}
"""What changes of things that others are made with or given to."""
Full = Mapping[str, Mapping[str, Mapping[str, Any]]]


def full_inventory(cloud: Any) -> Full:
    """All that the project holds with all fields but those that tell times, read by openstacksdk alone."""
    scope = {"project_id": cloud.current_project_id}
    net, compute, storage = cloud.network, cloud.compute, cloud.block_storage
    found = {
        "servers": compute.servers(),
        "server groups": compute.server_groups(),
        "key pairs": compute.keypairs(),
        "volumes": storage.volumes(),
        "snapshots": storage.snapshots(),
        "backups": storage.backups(),
        "images": cloud.image.images(owner=cloud.current_project_id),
        "networks": net.networks(**scope),
        "subnets": net.subnets(**scope),
        "ports": net.ports(**scope),
        "routers": net.routers(**scope),
        "security groups": net.security_groups(**scope),
        "floating ips": net.ips(**scope),
    }
    return {kind: {str(t.id): _fields(kind, t) for t in things} for kind, things in found.items()}


def _fields(kind: str, thing: Any) -> dict[str, Any]:
    fields = thing.to_dict(computed=False)
    known = {k: v for k, v in fields.items() if k not in FLEETING | _PORT_STATES.get(kind, set())}
    if "security_group_rules" in known:
        known["security_group_rules"] = sorted(rule["id"] for rule in known["security_group_rules"] or ())
    return known


@dataclass(frozen=True)
class Difference:
    """What came, went and changed between two inventories, by id; of changes, which fields."""

    came: dict[str, str]
    went: dict[str, str]
    changed: dict[str, tuple[str, dict[str, tuple[Any, Any]]]]

    def unasked(self, calls: list[Call], before: Full, after: Full) -> list[str]:
        """What is different, and was not brought about by a request, a line each."""
        made = {identity for call in calls for identity in call.made}
        made |= {call.body["keypair"]["name"] for call in calls if call.path == "/os-keypairs"}
        served = {call.body["subnet"]["network_id"] for call in calls if call.path == "/subnets"}
        named = set("/".join(call.path for call in calls).split("/"))
        lent = set(UUID.findall(json.dumps([call.body for call in calls])))

        def of_neutron(port: Mapping[str, Any]) -> bool:
            """A port of Neutron's own in a network that has got something."""
            return port["device_owner"] in ("network:distributed", "network:dhcp") and (
                port["network_id"] in made | served
            )

        lines = [f"{kind} {identity} has gone" for identity, kind in self.went.items()]
        for identity, kind in self.came.items():
            if identity not in made and not (kind == "ports" and of_neutron(after[kind][identity])):
                lines.append(f"{kind} {identity} has come")
        for identity, (kind, fields) in self.changed.items():
            if identity in named or (kind == "ports" and of_neutron(before[kind][identity])):
                continue
            other = fields.keys() - (_LENT.get(kind, set()) if identity in lent else set())
            lines += [
                f"{kind} {identity}: {name} was {fields[name][0]}, is {fields[name][1]}" for name in other
            ]
        return lines


def difference(before: Full, after: Full) -> Difference:
    came = {i: kind for kind in after for i in after[kind] if i not in before[kind]}
    went = {i: kind for kind in before for i in before[kind] if i not in after[kind]}
    changed = {}
    for kind, things in before.items():
        for identity, fields in things.items():
            now = after[kind].get(identity, fields)
            names = {n for n in {**fields, **now} if fields.get(n) != now.get(n)}
            if names:
                changed[identity] = (kind, {n: (fields.get(n), now.get(n)) for n in sorted(names)})
    return Difference(came, went, changed)
