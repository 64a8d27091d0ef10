"""devcloud's tables and templates hold together: nothing here needs root or a cloud."""

from __future__ import annotations

import configparser
import re
import shutil
from pathlib import Path

import pytest
import yaml

from devcloud import ceph, checks, cli, graph, packages, render, services, up
from devcloud import cloud as clouds
from devcloud.cloud import Cloud, Options
from devcloud.errors import UsageError

OPTIONS = [
    Options(),
    Options(isolated=True),
    Options(nova_driver="fake"),
    Options(without=("swift",)),
    Options(nova_driver="fake", without=("swift",)),
    Options(isolated=True, refloat=True),
    Options(isolated=True, fake_host=True),
    Options(isolated=True, unlike=True),
    Options(storage=("ceph",)),
    Options(storage=("file", "ceph"), refloat=True),
    Options(storage=("ceph", "file"), unlike=True),
]


@pytest.fixture(params=OPTIONS, ids=str)
def cloud(request: pytest.FixtureRequest) -> Cloud:
    return Cloud("unit", Path("/nowhere/devcloud"), request.param)


def test_all_steps_can_be_done(cloud: Cloud) -> None:
    graph.check(up.steps(cloud))


def test_services_are_named_once_and_jobs_are_not_services(cloud: Cloud) -> None:
    names = [service.name for service in services.table(cloud)]
    assert len(set(names)) == len(names)
    assert not set(names) & set(up.jobs(cloud))


def test_checks_blame_services_that_there_are(cloud: Cloud) -> None:
    names = {service.name for service in services.table(cloud)}
    for check in checks.table(cloud):
        assert set(check.needs) <= names, check.name


def test_no_two_services_share_a_port(cloud: Cloud) -> None:
    ports = services.ports(cloud)
    assert len(set(ports.values())) == len(ports)


def test_options_leave_services_out() -> None:
    def names(options: Options) -> set[str]:
        return {s.name for s in services.table(Cloud("unit", Path("/nowhere"), options))}

    assert not {n for n in names(Options(without=("swift",))) if n.startswith("swift")}
    assert "libvirtd" not in names(Options(nova_driver="fake"))
    assert not {n for n in names(Options()) if "refloat" in n or "postgres" in n}
    assert "nova-compute-fake" not in names(Options())
    assert "nova-compute-fake" in names(Options(fake_host=True))
    assert {"refloat-api", "refloat-worker-1", "postgresql"} <= names(Options(refloat=True))
    assert {"libvirtd", "swift-proxy", "cinder-backup", "nova-metadata"} <= names(Options())


@pytest.mark.parametrize(("driver", "real"), [("libvirt", True), ("fake", False)])
def test_volumes_are_as_real_as_servers(driver: str, real: bool) -> None:
    files = render.render(Cloud("unit", Path("/nowhere"), Options(nova_driver=driver)))
    assert ("drivers.nfs.NfsDriver" in files["cinder/cinder.conf"]) is real


def test_what_is_stored_where_follows_the_storage() -> None:
    def rendered(*storage: str) -> configparser.RawConfigParser:
        files = render.render(Cloud("unit", Path("/nowhere"), Options(storage=storage)))
        parser = configparser.RawConfigParser(strict=False)
        for name in ("cinder/cinder.conf", "glance/glance-api.conf", "nova/nova-compute.conf"):
            told = configparser.RawConfigParser(strict=True)
            told.read_string(files[name])
            parser.read_dict({f"{name} {section}": dict(told[section]) for section in told})
        return parser

    choices: list[tuple[str, ...]] = [("file",), ("ceph",), ("file", "ceph"), ("ceph", "file")]
    for storage in choices:
        found = rendered(*storage)
        cinder = found["cinder/cinder.conf DEFAULT"]
        backends = cinder["enabled_backends"].split(",")
        assert cinder["default_volume_type"] == backends[0]
        drivers = [found[f"cinder/cinder.conf {name}"]["volume_driver"] for name in backends]
        assert ["rbd" if "RBDDriver" in driver else "nfs" for driver in drivers] == [
            {"ceph": "rbd", "file": "nfs"}[name] for name in storage
        ]
        assert found["glance/glance-api.conf glance_store"]["default_backend"] == storage[0]
        assert [f"glance/glance-api.conf {name}" in found for name in storage] == [True] * len(storage)
        disks = found["nova/nova-compute.conf libvirt"].get("images_type")
        assert disks == ("rbd" if storage[0] == "ceph" else None)


def test_nobody_of_ceph_may_more_than_he_needs() -> None:
    assert ceph.USERS["client.refloat"] == {
        "mon": "profile rbd",
        "mgr": "profile rbd pool=volumes, profile rbd pool=vms",
        "osd": "profile rbd pool=volumes, profile rbd pool=vms, profile rbd-read-only pool=images",
    }


def test_refloat_hears_where_ceph_is(tmp_path: Path) -> None:
    more = tmp_path / "more.conf"
    more.write_text("[ceph]\nconf = @CEPH_CONF@\nuser = @CEPH_USER@\n")
    for storage, told in (("ceph", "/etc/ceph/ceph.conf|refloat"), ("file", "|")):
        options = Options(refloat=True, refloat_config=str(more), storage=(storage,))
        parser = configparser.RawConfigParser(strict=False)
        parser.read_string(render.render(Cloud("unit", Path("/nowhere"), options))["refloat/refloat.conf"])
        assert "|".join((parser["ceph"]["conf"], parser["ceph"]["user"])) == told


def test_a_new_configuration_concerns_those_that_read_it() -> None:
    cloud = Cloud("unit", Path("/nowhere"), Options(storage=("file", "ceph"), refloat=True))
    read: dict[str, set[str]] = {}
    for service in services.table(cloud):
        for folder in service.reads(cloud.etc):
            read.setdefault(folder, set()).add(service.name)
    assert read["cinder"] == {"cinder-api", "cinder-volume", "cinder-scheduler", "cinder-backup"}
    assert read["glance"] == {"glance-api"}
    assert {"nova-api", "nova-compute", "nova-metadata"} <= read["nova"]
    assert read["refloat"] == {"refloat-api", "refloat-worker-1", "refloat-worker-2"}


def asked(made: Options, *words: str) -> Options:
    """The options of a cloud that was made with some, after an `up` with these words."""
    arguments = cli.parser().parse_args(["up", *words])
    return cli.with_options(Cloud("unit", Path("/nowhere"), made), arguments, adding=True).options


def test_more_is_added_to_a_cloud_that_is_there() -> None:
    made = Options(isolated=True, fake_host=True)
    assert asked(made) == made
    assert asked(made, "--storage", "file") == made
    more = asked(made, "--storage", "ceph", "--with-refloat")
    assert more == Options(isolated=True, fake_host=True, refloat=True, storage=("file", "ceph"))
    assert asked(more, "--storage", "ceph") == more
    with pytest.raises(UsageError, match="fake"):
        asked(Options(nova_driver="fake"), "--storage", "ceph")


def test_what_cannot_be_added_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    base = Path("/tmp") / tmp_path.name[:20]
    made = Cloud("unit", base, Options())
    made.save_options()
    monkeypatch.setenv("DEVCLOUD_HOME", str(base))
    try:
        assert cli.main(["--name", "unit", "up", "--storage", "ceph", "--without", "swift", "--unlike"]) == 2
        said = capsys.readouterr().err
        assert "--without, --unlike" in said
        assert "devcloud reset" in said
        assert "--storage" not in said
        assert clouds.load("unit", str(base)).options == Options()
    finally:
        shutil.rmtree(base)


def test_refloat_is_configured_by_the_files_that_operators_get() -> None:
    files = render.render(Cloud("unit", Path("/nowhere"), Options(refloat=True)))
    mine = {name: text for name, text in files.items() if name.startswith("refloat/")}
    assert "connection = postgresql://" in mine["refloat/refloat.conf"]
    for name, text in mine.items():
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        assert not [line for line in lines if re.search(r"@\w+@", line)], name
        assert not [line for line in lines if re.search(r"(?<!/unit)/(etc|var/lib)/refloat", line)], name


def test_there_is_no_orchestration(cloud: Cloud) -> None:
    text = repr(services.table(cloud)) + (packages.HERE / "constraints.txt").read_text()
    assert "heat" not in text.lower()


def test_templates_render_and_parse(cloud: Cloud) -> None:
    files = render.render(cloud)
    for name, text in files.items():
        assert "{{" not in text, name
        assert "{%" not in text, name
        if Path(name).suffix in {".conf", ".ini"} and not name.startswith(("libvirt/", "rabbitmq")):
            # (a provider file says `plugin` once for each)
            strict = "/providers.d/" not in name
            parser = configparser.RawConfigParser(strict=strict, allow_no_value=True)
            parser.read_string(text, source=name)
            assert parser.sections(), name


def test_every_configuration_file_that_a_command_names_is_rendered(cloud: Cloud) -> None:
    files = set(render.render(cloud)) | {"nova/api-paste.ini"}
    etc = str(cloud.etc)
    text = "\n".join(" ".join([*s.command, *s.env.values()]) for s in services.table(cloud))
    for path in re.findall(rf"{re.escape(etc)}/([\w/.-]+\.(?:conf|ini))", text):
        assert path in files, path


def test_the_supervisor_reads_commands_back_as_they_are(cloud: Cloud) -> None:
    parser = configparser.RawConfigParser(strict=True)
    parser.read_string(render.render(cloud)["supervisord.conf"])
    for service in services.table(cloud):
        section = parser[f"program:{service.name}"]
        assert section["command"].replace("%%", "%") == " ".join(
            # all words of these commands are plain, or quoted by shlex
            word if re.fullmatch(r"[\w@%+=:,./-]+", word) else "'" + word + "'"
            for word in service.command
        )
        assert section["autorestart"] == "true"
        assert section["stdout_logfile"] == str(cloud.log(service.name))


def test_clouds_yaml_has_every_cloud(cloud: Cloud) -> None:
    told = yaml.safe_load(render.clouds_yaml(cloud))["clouds"]
    assert set(told) == {"admin", "demo", "demo2", "demo3", "demo4", "demo-manager", "demo-reader"}
    assert told["demo-manager"]["auth"]["project_name"] == "demo"
    assert told["demo2"]["auth"]["project_name"] == "demo2"
    assert {entry["auth"]["auth_url"] for entry in told.values()} == {"http://127.0.0.1:5000/v3"}


def test_constraints_are_plain_versions_and_cover_the_requirements() -> None:
    lines = (packages.HERE / "constraints.txt").read_text().splitlines()
    for line in lines:
        assert re.fullmatch(r"[a-z0-9.-]+==[0-9][\w.]*", line), line
    pinned = {line.split("==")[0] for line in lines}
    wanted = (packages.HERE / "requirements.txt").read_text().splitlines()
    for line in wanted:
        if line and not line.startswith("#"):
            assert line.lower() in pinned, line


@pytest.mark.parametrize("name", ["", "-x", "Main", "a/b", "..", "venv", "shared", "x" * 25])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        Cloud(name, Path("/nowhere"))


def test_a_base_too_deep_for_sockets_is_refused() -> None:
    with pytest.raises(UsageError, match="too long"):
        Cloud("unit", Path("/" + "x" * 70))


def test_options_are_kept(tmp_path: Path) -> None:
    options = Options(isolated=True, without=("swift",), refloat=True, storage=("ceph", "file"))
    made = Cloud("unit", Path("/tmp") / tmp_path.name[:20], options)
    made.save_options()
    try:
        assert clouds.load("unit", str(made.base)).options == made.options
    finally:
        made.options_file.unlink()
        made.home.rmdir()
        made.base.rmdir()


def test_two_bases_have_two_databases() -> None:
    assert (
        Cloud("a", Path("/one")).database
        != Cloud("a", Path("/two")).database
        != Cloud("b", Path("/two")).database
    )
