"""The order of a server's network cards and volumes, from what Nova shows to a project's member."""

from itertools import permutations
from types import SimpleNamespace
from typing import Any

import pytest

from refloat.resources.server.order import by_mac, device_rank, in_device_order, nic_order, root_of


def port(name: str, created: int = 0, updated: int = 0, addresses: tuple[str, ...] = ("10.0.0.1",)) -> Any:
    return SimpleNamespace(
        id=f"id-{name}",
        name=name,
        mac_address=f"fa:16:3e:00:00:{name}",
        fixed_ips=[{"ip_address": address} for address in addresses],
        created_at=f"2026-11-23T00:00:{created:02}Z",
        updated_at=f"2026-11-23T00:00:{updated:02}Z",
    )


def shown(*networks: tuple[str, list[Any]]) -> dict[str, list[dict[str, str]]]:
    """``addresses`` as Nova shows them."""
    return {
        label: [
            {
                "addr": fixed["ip_address"],
                "OS-EXT-IPS-MAC:mac_addr": port.mac_address,
                "OS-EXT-IPS:type": "fixed",
            }
            for port in ports
            for fixed in port.fixed_ips
        ]
        for label, ports in networks
    }


def test_two_cards_on_one_network_after_one_on_another_are_certain() -> None:
    front, back, second = port("01", 3), port("02", 2), port("03", 1)
    for listed in permutations([front, back, second]):  # the list of ports is in the order of their ids
        found = nic_order(shown(("front", [front]), ("back", [back, second])), listed)
        assert found == ([front, back, second], True)


def test_a_card_that_may_stand_between_two_others_is_placed_by_date() -> None:
    first, between, last = port("01", 1), port("02", 2), port("03", 3)
    addresses = shown(("front", [first, last]), ("back", [between]))
    assert nic_order(addresses, [last, between, first]) == ([first, between, last], False)
    made_late = port("02", 9)
    addresses = shown(("front", [first, last]), ("back", [made_late]))
    assert nic_order(addresses, [last, made_late, first]) == ([first, last, made_late], False)


def test_when_dates_of_creation_are_equal_those_of_the_last_change_decide() -> None:
    ports = [port("01", 7, 16), port("02", 7, 16), port("03", 7, 17), port("04", 8, 18)]
    addresses = shown(("b", [ports[0], ports[2]]), ("a", [ports[1], ports[3]]))
    assert nic_order(addresses, reversed(ports)) == (ports, False)


def test_the_network_that_is_shown_first_has_the_first_card() -> None:
    old, new = port("01", 1), port("02", 9)
    assert nic_order(shown(("b", [new]), ("a", [old])), [old, new]) == ([new, old], True)


def test_floating_and_further_addresses_are_no_cards() -> None:
    only = port("01", addresses=("10.0.0.1", "10.0.0.2"))
    addresses = shown(("front", [only]))
    addresses["front"].append({"addr": "172.24.4.9", "OS-EXT-IPS:type": "floating"})
    assert nic_order(addresses, [only]) == ([only], True)


def test_equal_macs_on_two_networks_are_told_apart_by_address() -> None:
    one, two = port("01", addresses=("10.1.0.1",)), port("01", addresses=("10.2.0.1",))
    assert nic_order(shown(("b", [two]), ("a", [one])), [one, two]) == ([two, one], True)


def test_a_card_without_any_address_makes_the_order_uncertain() -> None:
    seen, unseen = port("01"), port("02", addresses=())
    assert nic_order(shown(("front", [seen])), [unseen, seen]) == ([seen, unseen], False)
    assert nic_order({}, [unseen]) == ([unseen], True)
    assert nic_order({}, []) == ([], True)


def test_what_administrators_may_see_decides() -> None:
    ports = [port("01"), port("02")]
    assert by_mac(ports, [ports[1].mac_address, ports[0].mac_address]) == [ports[1], ports[0]]
    assert by_mac(ports, []) is None
    assert by_mac(ports, [ports[0].mac_address]) is None


def attachment(volume_id: str, device: str | None) -> Any:
    return SimpleNamespace(volume_id=volume_id, device=device)


def test_devices_are_in_the_order_in_which_systems_count() -> None:
    names = [None, "/dev/vdab", "/dev/vdb", "/dev/vdz", "/dev/vda", "/dev/vdaa"]
    assert sorted(names, key=device_rank) == [
        *(["/dev/vda", "/dev/vdb", "/dev/vdz", "/dev/vdaa", "/dev/vdab"]),
        None,
    ]
    assert device_rank("/dev/xvdb") == device_rank("/dev/sdb") == device_rank("vdb")


@pytest.mark.parametrize("has_image", [True, False])
def test_the_root_disk_is_the_first_device_whatever_else_is_bootable(has_image: bool) -> None:
    ordered = in_device_order(
        [attachment("c", "/dev/vdc"), attachment("a", "/dev/vda"), attachment("b", "/dev/vdb")]
    )
    assert [item.volume_id for item in ordered] == ["a", "b", "c"]
    root = root_of(ordered, has_image, None)
    assert (root is None) if has_image else (root.volume_id == "a")


def test_the_name_of_the_root_device_decides_when_it_is_shown() -> None:
    ordered = in_device_order([attachment("a", "/dev/vda"), attachment("b", "/dev/vdb")])
    assert root_of(ordered, False, "/dev/vdb").volume_id == "b"
    assert root_of([], False, "/dev/vda") is None
