"""Whether what a restore has made and repaired is as its plan decided, as openstacksdk shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.fullstack.random_applications import ADDRESS, GROUP, NETWORK, ROUTER, SERVER, VOLUME

Decided = Mapping[str, Any]


def unlike(
    cloud: Any,
    plan: Mapping[tuple[str, str], Decided],
    result: Mapping[str, Any],
    successors: Mapping[str, str],
) -> list[str]:
    """What is not as decided, a line each.

    :param successors: what the plan names in the place of originals, by ``TYPE#ID``.
    """
    new = {
        (each["type"], names): each["new_id"]
        for each in result["resources"]
        for was in (each["source_id"],)
        for names in (was, successors.get(f"{each['type']}#{was}", was))
    }
    lines = []
    for (kind, source), planned in plan.items():
        if planned["action"] in ("create", "repair", "replace") and kind in _LOOKS:
            looked = _LOOKS[kind](cloud, new[kind, source], planned, new)
            lines += [f"{kind} {source}: {what}" for what, right in looked if not right]
    return lines


Looked = Iterator[tuple[str, bool]]


def _server(cloud: Any, identity: str, planned: Decided, new: Mapping[Any, str]) -> Looked:
    server, decisions = cloud.compute.get_server(identity), planned["decisions"]
    ports = {port.id: port for port in cloud.network.ports(device_id=identity)}
    volumes = {each.volume_id for each in cloud.compute.volume_attachments(identity)}
    yield f"it is called {server.name}", server.name == planned["name"]
    wanted = {new.get((VOLUME, volume["id"]), volume["id"]) for volume in decisions["volumes"]}
    yield f"it has the volumes {volumes}, not {wanted}", wanted <= volumes
    cards = decisions.get("ports", ())
    for card in cards:
        port = ports.get(card["reuse"] or new.get(("OS::Neutron::Port", card["source"]), ""))
        if planned["action"] == "create":
            yield f"it lacks the card {card['source']}", port is not None
        if port is None or card["reuse"]:
            continue
        has = {fixed["ip_address"] for fixed in port.fixed_ips}
        asked = {fixed["ip_address"] for fixed in card["fixed_ips"]} - {""}
        yield f"its card has {has}, not {asked}", asked <= has and len(has) == len(card["fixed_ips"])
        yield "its card has another MAC address", card["mac_address"] in (None, port.mac_address)
        groups = {new.get((GROUP, group), group) for group in card["security_groups"]}
        yield f"its card is in {port.security_group_ids}", groups == set(port.security_group_ids)
    led = [*cards, *decisions.get("floating_ips", ())]
    for floating in (floating for each in led for floating in each["floating_ips"]):
        address = cloud.network.get_ip(new.get((ADDRESS, floating["id"]), floating["id"]))
        yield f"{address.floating_ip_address} leads to {address.port_id}", address.port_id in ports
    if planned["action"] == "create":
        yield f"it has {len(ports)} cards", len(ports) == len(cards)
        yield f"it has the volumes {volumes}", volumes == wanted
        yield f"it is {server.status}", server.status == decisions["power"]
    if planned["action"] == "replace":
        power = "ACTIVE" if decisions["runs"] else "SHUTOFF"
        yield f"it is {server.status}", server.status == power
        again = {volume["id"] for volume in decisions["detach"]}
        yield f"it has the volumes {volumes}, not {again}", again <= volumes


def _network(cloud: Any, identity: str, planned: Decided, new: Mapping[Any, str]) -> Looked:
    network = cloud.network.get_network(identity)
    yield f"it is called {network.name}", network.name == planned["name"]
    there = {subnet.cidr: subnet for subnet in cloud.network.subnets(network_id=identity)}
    for decided in planned["decisions"]["subnets"]:
        if body := decided.get("body"):
            subnet = there.get(body["cidr"])
            yield f"it lacks {body['cidr']}", subnet is not None
            same = subnet is not None and (subnet.name, subnet.dns_nameservers, subnet.gateway_ip) == (
                body.get("name", ""),
                body.get("dns_nameservers", []),
                body["gateway_ip"],
            )
            yield f"its subnet {body['cidr']} is otherwise: {body}, {subnet}", same


def _group(cloud: Any, identity: str, planned: Decided, new: Mapping[Any, str]) -> Looked:
    group, wanted = cloud.network.get_security_group(identity), planned["decisions"]["rules"]

    def key(rule: Mapping[str, Any], own: bool) -> tuple[Any, ...]:
        remote = rule["remote_group_id"]
        remote = new.get((GROUP, remote), remote) if own and remote else remote
        return rule["direction"], rule["ethertype"], rule["protocol"], rule["port_range_min"], remote

    there = {key(rule, False) for rule in group.security_group_rules}
    lost = {key(rule, True) for rule in wanted} - there
    yield f"it is called {group.name}", group.name == planned["name"]
    yield f"it lacks {lost}", not lost
    if planned["action"] == "create":
        yield f"it has {len(there)} rules, not {len(wanted)}", len(there) == len(wanted)


def _router(cloud: Any, identity: str, planned: Decided, new: Mapping[Any, str]) -> Looked:
    router, decisions = cloud.network.get_router(identity), planned["decisions"]
    gateway = (router.external_gateway_info or {}).get("network_id")
    yield f"it is called {router.name}", router.name == planned["name"]
    if decisions["gateway"]:
        wanted = decisions["gateway"]["network"]
        yield f"its gateway is in {gateway}", gateway == (wanted["id"] or new[NETWORK, wanted["source"]])
    ports = list(cloud.network.ports(device_id=identity, device_owner="network:router_interface"))
    has = {fixed["ip_address"] for port in ports for fixed in port.fixed_ips}
    asked = {f["ip_address"] for each in decisions["interfaces"] for f in each["fixed_ips"]} - {""}
    yield f"it has the addresses {has}, not {asked}", asked <= has
    lost = [route for route in decisions["routes"] if route not in router.routes]
    yield f"it lacks {lost}", not lost
    if planned["action"] == "create":
        count = sum(len(each["fixed_ips"]) for each in decisions["interfaces"])
        yield f"it has {len(has)} addresses, not {count}", len(has) == count
        yield f"its gateway is in {gateway}", bool(gateway) == bool(decisions["gateway"])


def _volume(cloud: Any, identity: str, planned: Decided, new: Mapping[Any, str]) -> Looked:
    volume = cloud.block_storage.get_volume(identity)
    yield f"it is {volume.status}", volume.status in ("available", "in-use")
    yield f"it is called {volume.name}", volume.name == planned["name"]


_LOOKS = {SERVER: _server, NETWORK: _network, GROUP: _group, ROUTER: _router, VOLUME: _volume}
