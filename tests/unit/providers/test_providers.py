"""Providers: those that files define, and their banks."""

from __future__ import annotations

from pathlib import Path

import pytest

from refloat.bank.identity import DESCRIPTOR, DESCRIPTOR_COPY
from refloat.control.banks import banks_of_user
from refloat.control.settings import Settings
from refloat.errors import InvalidInput, NotFound
from refloat.movers.settings import Ceph, Movers
from refloat.providers.banks import BankLocation
from refloat.providers.provider import Provider, Providers
from refloat.providers.provider_files import load_file
from refloat.records.database import Database
from tests.unit.support.cli_helpers import Command

INFRA = """\
[provider]
name = OS Infra Provider
description = This provider uses OpenStack's own services
id = cf56bd3e-97a7-4078-b6d5-f36246333fd9
enabled = True

plugin=karbor-volume-protection-plugin
plugin=karbor-image-protection-plugin
plugin=karbor-server-protection-plugin
plugin=karbor-share-protection-plugin
plugin=karbor-network-protection-plugin
plugin=karbor-database-protection-plugin
bank=karbor-swift-bank-plugin

[swift_client]
swift_auth_url=http://127.0.0.1/identity
swift_user=admin
swift_key=secret

[swift_bank_plugin]
lease_expire_window=120
"""

NOOP = """\
[provider]
name = Noop Provider
id = b766f37c-d011-4026-8228-28730d734a3f
plugin = karbor-noop-protection-plugin
bank = karbor-fs-bank-plugin
enabled = True

# where it is
[file_system_bank_plugin]
file_system_bank_path = {path}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "providers.d").mkdir()
    return tmp_path / "providers.d"


def write(folder: Path, text: str, name: str = "p.conf") -> None:
    (folder / name).write_text(text)


def test_what_is_built_in_is_there_without_files(folder: Path) -> None:
    for providers in (Providers(), Providers(folder), Providers(folder / "nowhere")):
        assert [provider.name for provider in providers] == ["default", "snapshot", "bank"]
        assert all(provider.bank is None for provider in providers)


def test_h5_the_no_op_provider_is_there_when_it_is_asked_for(folder: Path) -> None:
    """H5: what is made up, and as large as anybody likes, is protected by nothing otherwise."""
    assert "noop" in {provider.name for provider in Providers(folder, noop=True)}
    for provider in Providers(folder):
        assert "Refloat::Noop" not in provider.plugins()
        assert not provider.keeps_nothing
    with pytest.raises(NotFound):
        Providers(folder).find("noop")
    assert "Refloat::Noop" in Providers(folder, noop=True).find("default").plugins()


def test_a_provider_file_of_karbor_loads_as_it_is(folder: Path, tmp_path: Path) -> None:
    write(folder, INFRA)
    providers = Providers(folder, tmp_path / "key")
    infra = providers.find("cf56bd3e-97a7-4078-b6d5-f36246333fd9")
    assert infra is providers.find("OS Infra Provider")
    chosen = infra.plugins()
    assert chosen["OS::Cinder::Volume"].name == "volume-cinder-backup"
    assert chosen["OS::Nova::Server"].name == "server"
    assert chosen["OS::Neutron::Router"].name == "router"
    assert infra.bank == BankLocation("swift://karbor/refloat", tmp_path / "key")
    assert chosen["OS::Manila::Share"].name == "share-manila-snapshot"
    assert chosen["OS::Trove::Instance"].name == "database-trove-backup"
    assert infra.notes == ()
    assert infra.reference == infra.id


def test_a_plugin_that_only_karbor_has_is_noted(folder: Path) -> None:
    write(folder, INFRA.replace("karbor-volume-protection-plugin", "karbor-volume-freezer-plugin"))
    (note,) = Providers(folder).find("OS Infra Provider").notes
    assert note == "karbor-volume-freezer-plugin: Refloat does not protect volumes through Freezer"


def test_the_no_op_plugin_of_karbor_is_for_every_type(folder: Path) -> None:
    write(folder, NOOP.format(path="/srv/bank"))
    noop = Providers(folder).find("Noop Provider")
    assert {plugin.name for plugin in noop.plugins().values()} == {"noop"}
    assert {"OS::Nova::Server", "OS::Keystone::Project", "Refloat::Noop"} <= set(noop.plugins())
    assert noop.bank == BankLocation("file:///srv/bank/refloat-karbor", folder / "bank.key")


def test_a_plugin_of_karbor_for_which_nothing_is_installed_is_noted(folder: Path) -> None:
    write(folder, INFRA.replace("karbor-volume-protection-plugin", "karbor-volume-glance-plugin"))
    installed = ["image-bank", "server", "keypair", "server-group", "network", "router"]
    installed += ["security-group", "floating-ip"]
    found = load_file(folder / "p.conf", installed, folder / "key", Provider)
    assert found is not None
    assert found.notes[0] == "karbor-volume-glance-plugin: this Refloat has no plugin 'volume-bank'"
    assert "image-bank" in found.plugin_names
    assert "volume-bank" not in found.plugin_names


def test_where_the_banks_of_karbor_are(folder: Path) -> None:
    s3 = INFRA.replace("karbor-swift-bank-plugin", "karbor-s3-bank-plugin").replace("[swift_client]", "[x]")
    write(folder, f"{s3}\n[s3_client]\ns3_endpoint = http://127.0.0.1:7480\n")
    bank = Providers(folder).find("OS Infra Provider").bank
    assert bank is not None
    assert bank.url == "s3://karbor/refloat?endpoint=http://127.0.0.1:7480"


def test_a_bank_of_its_own(folder: Path) -> None:
    own = "plugin = volume-cinder-snapshot\n[refloat_bank]\nurl = /srv/b\nkey_file = /etc/b.key\n"
    head = "[provider]\nname = x\nid = 00000000000000000000000000000001\nenabled = yes\n"
    write(folder, head + own)
    found = Providers(folder).find("x")
    assert found.bank == BankLocation("/srv/b", Path("/etc/b.key"))
    assert found.id == "00000000-0000-0000-0000-000000000001"


def test_a_provider_that_is_not_enabled_is_not_there(folder: Path) -> None:
    write(folder, INFRA.replace("enabled = True\n", ""))
    assert len(list(Providers(folder))) == len(list(Providers()))


def test_a_file_may_take_the_place_of_a_built_in_provider(folder: Path) -> None:
    default = Providers().find("default")
    write(folder, f"[provider]\nname=ours\nid={default.id}\nenabled=1\nplugin=volume-cinder-snapshot\n")
    providers = Providers(folder)
    assert [provider.name for provider in providers] == ["ours", "snapshot", "bank"]
    # Plans and checkpoints of before refer to it by its name.
    assert providers.find("default") is providers.find("ours")


@pytest.mark.parametrize(
    ("before", "after", "line", "message"),
    [
        ("karbor-image-protection", "karbor-imago-protection", 8, "no protection plugin 'karbor-imago-"),
        ("karbor-image-protection-plugin", "", 8, "there is no protection plugin ''"),
        ("karbor-swift-bank-plugin", "my-bank", 13, "there is no bank 'my-bank'"),
        ("karbor-swift-bank-plugin", "karbor-fs-bank-plugin", 1, "file_system_bank_path"),
        ("cf56bd3e-97a7-4078-b6d5-f36246333fd9", "4711", 4, "'4711' is not a UUID"),
        ("name = OS Infra Provider", "", 1, "needs a value for 'name'"),
        ("enabled = True", "enabled = perhaps", 5, "neither true nor false"),
        ("description =", "descriptoin =", 3, "[provider] has no 'descriptoin'"),
        ("[provider]", "", 2, "stands before any section"),
        ("[provider]", "[provider", 1, "is no section"),
        ("[swift_client]", "nonsense", 15, "'nonsense' is neither a section nor"),
        (
            "[swift_client]",
            "[refloat_bank]\nurl = here\n[swift_client]",
            16,
            "neither an absolute path nor a URL",
        ),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(
    folder: Path, before: str, after: str, line: int, message: str
) -> None:
    assert before in INFRA
    write(folder, INFRA.replace(before, after, 1), "infra.conf")
    with pytest.raises(InvalidInput) as raised:
        Providers(folder)
    assert f"{folder}/infra.conf, line {line}: " in str(raised.value)
    assert message in str(raised.value)


MOVERS = """[provider]
name = x
id = 00000000000000000000000000000001
enabled = yes
plugin = volume-bank
movers = rbd, glance
full_every = 7

[mover_rbd]
conf = /etc/ceph/west.conf
user = client.backup
keyring = /etc/refloat/west.keyring
pools = volumes, ssd
"""


def test_movers_of_a_provider(folder: Path) -> None:
    assert Providers().find("bank").movers == Movers(("glance",), Ceph(), 30)
    assert Providers().find("bank").mover_notes() == []
    write(folder, MOVERS)
    ceph = Ceph("/etc/ceph/west.conf", "backup", "/etc/refloat/west.keyring", ("volumes", "ssd"))
    found = Providers(folder).find("x")
    assert found.movers == Movers(("rbd", "glance"), ceph, 7)
    first, second = found.mover_notes()
    assert "/etc/ceph/west.conf cannot be read by this user" in first
    assert "/etc/refloat/west.keyring cannot be read by this user" in first
    assert second == "mover glance: nothing speaks against it on this host"
    write(folder, MOVERS.partition("full_every")[0])
    assert Providers(folder).find("x").movers == Movers(("rbd", "glance"))


@pytest.mark.parametrize(
    ("before", "after", "line", "message"),
    [
        ("rbd, glance", "rbd, glacne", 6, "movers has no 'glacne'. It is one or more of: rbd, glance"),
        ("rbd, glance", "", 6, "movers has no ''"),
        ("full_every = 7", "full_every = 0", 7, "'0' is no number from 1"),
        ("full_every = 7", "full_every = often", 7, "'often' is no number from 1"),
        ("pools =", "pool =", 13, "[mover_rbd] has no 'pool'"),
        ("volumes, ssd", "volumes,,ssd", 13, "pools has an empty name"),
        ("/etc/ceph/west.conf", "west.conf", 10, "conf must be an absolute path"),
        ("/etc/refloat/west", "west", 12, "keyring must be an absolute path"),
    ],
)
def test_what_is_wrong_about_movers(folder: Path, before: str, after: str, line: int, message: str) -> None:
    assert before in MOVERS
    write(folder, MOVERS.replace(before, after))
    with pytest.raises(InvalidInput) as raised:
        Providers(folder)
    assert f"{folder}/p.conf, line {line}: {message}" in str(raised.value)


def test_a_wrong_name_is_answered_with_the_nearest(folder: Path) -> None:
    write(folder, INFRA.replace("karbor-image-protection", "karbor-imago-protection"))
    with pytest.raises(InvalidInput, match=r"Did you mean karbor-image-protection-plugin\?"):
        Providers(folder)


def test_ids_and_names_are_unique(folder: Path) -> None:
    write(folder, INFRA, "a.conf")
    write(folder, INFRA, "b.conf")
    with pytest.raises(InvalidInput, match="define providers of one id"):
        Providers(folder)
    write(folder, INFRA.replace("cf56bd3e", "cf56bd3f"), "b.conf")
    with pytest.raises(InvalidInput, match="the name 'OS Infra Provider' is taken"):
        Providers(folder)


def test_a_file_that_is_no_text(folder: Path) -> None:
    (folder / "x.conf").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match=r"x\.conf cannot be read"):
        Providers(folder)


def test_banks_are_opened_once_and_made_when_they_are_written_to(tmp_path: Path) -> None:
    told: list[str] = []
    place = BankLocation(str(tmp_path / "bank"), tmp_path / "bank.key")
    settings = Settings(f"sqlite:///{tmp_path}/db", place.url, place.key_file, own_bank=True)
    banks = banks_of_user(settings, Database(settings.database_url), told.append)
    assert banks.existing([place]) == []
    with pytest.raises(NotFound):
        banks.at(place)
    bank = banks.at(place, create=True)
    assert banks.at(place) is bank
    assert bank.id in told[0]
    assert "bank.key" in told[1]
    assert len(told) == 2
    assert banks.existing([place, place]) == [(place, bank, "")]
    unknown = BankLocation("nowhere://x", place.key_file)
    ((_place, none, reason),) = banks.existing([unknown])
    assert none is None
    assert "nowhere" in reason


# The command


def noop_provider(refloat: Command, tmp_path: Path) -> None:
    folder = tmp_path / "config" / "refloat" / "providers.d"
    folder.mkdir(parents=True)
    (folder / "noop.conf").write_text(NOOP.format(path=tmp_path / "other"))
    assert refloat("bank", "create", "--provider", "Noop Provider").status == 0


def test_protect_into_the_bank_of_a_provider_and_back(refloat: Command, tmp_path: Path) -> None:
    noop_provider(refloat, tmp_path)
    bank = f"file://{tmp_path}/other/refloat-karbor"
    rows = {row["name"]: row for row in refloat("provider", "list", "-f", "json").json}
    assert rows["Noop Provider"]["bank"] == bank
    assert f"Bank: {bank}" in refloat("provider", "show", "Noop Provider").out

    for plan, provider in (("here", "noop"), ("there", "Noop Provider")):
        refloat("plan", "create", plan, "--resource", "noop=tree:3", "--provider", provider)
    here = refloat("protect", "here", "-f", "json").json["id"]
    there = refloat("protect", "there", "-f", "json").json
    assert there["provider"] == "Noop Provider"
    assert refloat("plan", "show", "there", "-f", "json").json["provider"] == "Noop Provider"

    rows = refloat("checkpoint", "list", "-f", "json").json
    assert {row["id"]: row["provider"] for row in rows} == {here: "noop", there["id"]: "Noop Provider"}
    # It really lies in the other bank.
    (tmp_path / "data").rename(tmp_path / "away")
    assert refloat("checkpoint", "show", there["id"], "-f", "json").json["status"] == "available"
    assert refloat("verify", there["id"], "-f", "json").json["status"] == "good"
    assert refloat("restore", there["id"], "-f", "json").json["status"] == "succeeded"
    assert refloat("verify", here).status == 1
    assert refloat("checkpoint", "delete", there["id"]).status == 0
    listed = refloat("checkpoint", "list", "-f", "json")
    assert (listed.status, listed.out) == (1, "")
    assert "data/refloat/bank is not the bank it should be: expected: the bank" in listed.err
    (tmp_path / "away").rename(tmp_path / "data")
    assert [row["id"] for row in refloat("checkpoint", "list", "-f", "json").json] == [here]


def test_copy_to_the_bank_of_a_provider_lives_by_itself(refloat: Command, tmp_path: Path) -> None:
    noop_provider(refloat, tmp_path)
    refloat("plan", "create", "here", "--resource", "noop=tree:3", "--provider", "noop")
    here = refloat("protect", "here", "-f", "json").json["id"]
    copy = refloat("checkpoint", "copy", here, "--to", "Noop Provider", "-f", "json").json
    assert (copy["copied_from"], copy["provider"]) == (here, "Noop Provider")
    rows = {row["id"]: row["provider"] for row in refloat("checkpoint", "list", "-f", "json").json}
    assert rows == {here: "noop", copy["id"]: "Noop Provider"}
    shown = refloat("checkpoint", "show", copy["id"], "-f", "json").json
    assert shown["copied_from"]["checkpoint_id"] == here

    back = refloat("checkpoint", "copy", copy["id"], "--to", "noop", "-f", "json").json
    assert (back["id"], back["existed"]) == (here, True)
    (tmp_path / "data").rename(tmp_path / "away")
    assert refloat("verify", copy["id"], "-f", "json").json["status"] == "good"
    assert refloat("restore", copy["id"], "-f", "json").json["status"] == "succeeded"
    assert refloat("checkpoint", "delete", copy["id"]).status == 0
    (tmp_path / "away").rename(tmp_path / "data")
    assert [row["id"] for row in refloat("checkpoint", "list", "-f", "json").json] == [here]


def test_a_bank_that_cannot_be_read_is_told_of(refloat: Command, tmp_path: Path) -> None:
    noop_provider(refloat, tmp_path)
    refloat("plan", "create", "there", "--resource", "noop=tree:3", "--provider", "Noop Provider")
    made = refloat("protect", "there", "-f", "json").json["id"]
    for name in (DESCRIPTOR, DESCRIPTOR_COPY):
        (tmp_path / "other" / "refloat-karbor" / name).write_bytes(b"{}")
    listed = refloat("checkpoint", "list", "-f", "json")
    assert listed.json == []
    assert "Its checkpoints are not listed: the bank file://" in listed.err
    # It may well be there: that there is none would be a lie.
    shown = refloat("checkpoint", "show", made)
    assert shown.status == 1
    assert "cannot be read" in shown.err
