"""Restoring into other projects and clouds: what is allowed, and that no secret stays anywhere."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from api_helpers import NOOP, Running
from test_serve import _Identity, identity

from refloat.api import config
from refloat.api.deployment import _authority
from refloat.cloud.authority import SessionCloud
from refloat.cloud.targets import OWN, TRUSTEE, Target, find_target, given, is_own, login_plugin
from refloat.cloud.trusts import Trusts
from refloat.errors import CloudError, InvalidInput
from refloat.operations.restore import RestoreProgram
from refloat.records.grants import Intent
from refloat.resources.noop import NoopRestore

__all__ = ["identity"]

SECRET = "s3cret-f00d"
AUTH = {"type": "password", "username": "u", "password": SECRET, "project_name": "p"}


def files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_restore_elsewhere_acts_as_who_logged_in_there(
    working: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    member = working.user()
    checkpoint = member.protected()
    wanted = {"provider_id": NOOP, "checkpoint_id": checkpoint["id"], "parameters": {}}
    body = {**wanted, "restore_target": "http://there/v3", "restore_auth": AUTH}
    restore = member("POST", "restores", {"restore": body}).body["restore"]
    assert restore["restore_target"] == "http://there/v3"
    assert restore["project_id"] == member.project
    assert working.authority.logins == [("http://there/v3", AUTH)]
    done = member.until(f"restores/{restore['id']}", lambda found: found["status"] != "in_progress")
    assert (done["status"], done["restore_target"]) == ("success", "http://there/v3")
    assert working.all_given_back()
    assert [who.split()[0] for who in working.authority.granted] == ["tester", "u"]

    dry = {**wanted, "type": "restore", "dry_run": True, "restore_auth": AUTH}
    plan = member("POST", "operations", {"operation": dry}).body["operation"]
    member.until(f"operations/{plan['id']}", lambda found: found["status"] == "succeeded")
    assert working.authority.logins[-1] == ("", AUTH)
    shown = str([member("GET", path).body for path in ("restores", "operations", "operation_logs")])
    assert SECRET not in shown + str(done) + caplog.text
    assert SECRET.encode() not in files(tmp_path)


@pytest.mark.parametrize("auth", [None, {}, {"type": "password", "username": None, "password": None}])
def test_the_current_session(working: Running, auth: Any) -> None:
    member = working.user()
    checkpoint = member.protected()
    wanted = {"provider_id": NOOP, "checkpoint_id": checkpoint["id"], "parameters": {}}
    answer = member("POST", "restores", {"restore": {**wanted, "restore_target": None, "restore_auth": auth}})
    assert answer.status == 200
    assert "restore_auth" not in answer.body["restore"]
    assert working.authority.logins == []
    there = {**wanted, "restore_target": "http://there/v3", "restore_auth": auth}
    answer = member("POST", "restores", {"restore": there})
    assert answer.status == 400
    assert "restore_auth" in answer.message


@pytest.mark.parametrize(
    "auth",
    [
        {**AUTH, "password": [SECRET]},
        {**AUTH, "password": {"is": SECRET}},
        {**AUTH, "more/than": SECRET},
        [SECRET],
        SECRET,
    ],
)
def test_wrong_forms_do_not_tell_the_secret(working: Running, auth: Any) -> None:
    member = working.user()
    checkpoint = member.protected()
    wanted = {"provider_id": NOOP, "checkpoint_id": checkpoint["id"], "parameters": {}, "restore_auth": auth}
    for path, body in (
        ("restores", {"restore": wanted}),
        ("restores", {"restore": [wanted]}),
        ("operations", {"operation": {**wanted, "type": "restore", "dry_run": True}}),
        (f"operations/{checkpoint['id']}/action", {"cancel": {"restore_auth": auth}}),
    ):
        answer = member("POST", path, body)
        assert answer.status == 400, path
        assert SECRET not in str(answer.body)


def test_what_is_left_elsewhere_is_removed_there(working: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    member = working.user()
    checkpoint = member.protected()

    def fail(*_args: Any) -> Any:
        raise CloudError("it does not go away", left_behind="a volume")

    def broken(*_args: Any) -> Any:
        raise CloudError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(NoopRestore, "on_main", broken)
        patched.setattr(RestoreProgram, "undo", fail)
        body = {
            "provider_id": NOOP,
            "checkpoint_id": checkpoint["id"],
            "parameters": {},
            "restore_auth": AUTH,
        }
        path = f"operations/{member('POST', 'restores', {'restore': body}).body['restore']['id']}"
        failed = member.until(path, lambda found: found["status"] == "failed")
    assert failed["error"]["left_behind"] == "a volume"
    assert working.all_given_back()
    answer = member("POST", f"{path}/action", {"cancel": None})
    assert answer.status == 400
    assert "another project" in answer.message
    assert member("POST", f"{path}/action", {"cancel": {"restore_auth": AUTH}}).status == 200
    done = member.until(path, lambda found: found["status"] not in ("cancelling", "running"))
    assert (done["status"], done["error"]["left_behind"]) == ("failed", "")  # now nothing is left
    assert member("POST", f"{path}/action", {"cancel": None}).status == 409
    assert working.authority.granted[-1].startswith("u ")
    assert working.all_given_back()


AT_HOME = "http://home.example:5000/v3"


def test_ones_own_cloud_needs_no_leave(working: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """By any of its URLs; credentials that name no project mean the caller's, as with Karbor."""
    authority = working.authority
    monkeypatch.setattr(
        authority, "caller", lambda caller: SessionCloud(None, caller.project_id, auth_url=AT_HOME)
    )
    member = working.user()
    wanted = {"provider_id": NOOP, "checkpoint_id": member.protected()["id"], "parameters": {}}
    target = "http://HOME.example:5000/"
    body = {**wanted, "restore_target": target, "restore_auth": None, "existing": "skip"}
    restore = member("POST", "restores", {"restore": body}).body["restore"]
    done = member.until(f"restores/{restore['id']}", lambda found: found["status"] != "in_progress")
    assert (done["status"], done["restore_target"], authority.logins) == ("success", target, [])

    login = {"type": "password", "username": "u", "password": SECRET}
    placed = {**login, "project_id": member.project}
    for where in (target, None):
        body = {**wanted, "restore_target": where, "restore_auth": login}
        dry = {"operation": {**body, "type": "restore", "dry_run": True}}
        assert member("POST", "operations", dry).status == 200
        assert authority.logins[-1] == (OWN, placed)
    # Elsewhere they have to say it, and another project of one's own is said as it always was.
    body = {**wanted, "restore_target": "http://there/v3", "restore_auth": login}
    assert member("POST", "restores", {"restore": body}).status == 200
    assert authority.logins[-1] == ("http://there/v3", login)
    dry = {"operation": {**wanted, "type": "restore", "dry_run": True, "restore_auth": AUTH}}
    assert member("POST", "operations", dry).status == 200
    assert authority.logins[-1] == ("", AUTH)


# What is allowed


HOME = Target("home", "https://Keystone.example/identity/v3")
THERE = Target("there", "http://10.0.0.1:5000", "target_there")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://keystone.example/identity/v3", "home"),
        ("https://keystone.example:443/identity", "home"),
        ("http://10.0.0.1:5000/v3/", "there"),
        ("", ""),
        ("http://10.0.0.1/v3", None),
        ("http://10.0.0.1:5000/other", None),
        ("https://10.0.0.1:5000/v3", None),
        ("http://u:p@10.0.0.1:5000/v3", None),
        ("http://10.0.0.1:5000/v3?x=1", None),
        ("http://10.0.0.1:5000/v3#x", None),
        ("http://10.0.0.1:5000@evil.example/v3", None),
        ("http://169.254.169.254/latest", None),
        ("file:///etc/passwd", None),
        ("http://[", None),
        ("http://10.0.0.1:99999999", None),
        ("there", None),
    ],
)
def test_only_what_the_operator_names_is_a_target(url: str, name: str | None) -> None:
    targets = {target.name: target for target in (HOME, THERE)}
    if name is None:
        with pytest.raises(InvalidInput, match="not among the clouds"):
            find_target(targets, url, "http://own/v3")
    else:
        assert find_target(targets, url, "http://own/v3").name == name


def test_without_targets_nothing_is_restored_elsewhere() -> None:
    for url in ("", "https://keystone.example/v3"):
        with pytest.raises(InvalidInput):
            find_target({}, url, "https://keystone.example/v3")
    with pytest.raises(InvalidInput):  # another cloud is not one's own
        find_target({"there": THERE}, "", "https://keystone.example/v3")


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        ({**AUTH, "type": "token"}, "type"),
        ({**AUTH, "trust_id": SECRET}, "trust_id"),
        ({**AUTH, "auth_url": "http://evil/"}, "auth_url"),
        ({"username": "u"}, "password"),
        ({"password": SECRET}, "who"),
        ({"type": "application_credential", "application_credential_id": SECRET}, "needs application"),
        ({"type": "application_credential", "password": SECRET}, "no 'password'"),
    ],
)
def test_logins_that_are_none(auth: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        login_plugin("http://x/v3", auth)
    assert SECRET not in str(caught.value)


def test_what_a_login_gives() -> None:
    assert given(None) == given({"type": "password"}) == given({"password": None}) == {}
    plugin = login_plugin("http://x/v3", {"username": "u", "password": "p", "project_name": "q"})
    assert plugin.auth_methods[0].user_domain_id == "default"
    assert plugin.project_domain_id == "default"
    plugin = login_plugin("http://x/v3", {**AUTH, "user_domain_name": "acme"})
    assert (plugin.project_domain_name, plugin.project_domain_id) == ("acme", None)
    secret = {"application_credential_id": "i", "application_credential_secret": "s"}
    plugin = login_plugin("http://x/v3", {"type": "application_credential", **secret})
    assert plugin.auth_methods[0].application_credential_id == "i"


# Trusts of who logs in there


@pytest.fixture
def configured(identity: Any, tmp_path: Path) -> tuple[type[_Identity], str, Trusts]:
    """Another cloud besides one's own; both are the same server."""
    handler, url = identity
    other = url.replace("127.0.0.1", "localhost")
    login = "username = refloat\npassword = own\nuser_domain_name = Default\n"
    (tmp_path / "refloat.conf").write_text(
        f"[trustee]\nauth_type = v3password\nauth_url = {url}\n{login}"
        f"[restore]\nallowed_targets = home:{url},there:{other}\nregions = there:r\n"
        f"[target_there]\nauth_type = v3password\nauth_url = {other}\n{login}"
    )
    trusts = _authority(config.load([tmp_path / "refloat.conf"]))
    assert isinstance(trusts, Trusts)
    return handler, url, trusts


def test_ones_own_identity_service_has_many_names(configured: Any) -> None:
    _handler, url, trusts = configured
    caller = trusts.login(url, AUTH)
    elsewhere = SessionCloud(
        caller.plugin, caller.project_id, auth_url="https://keystone.example/identity/v3"
    )
    assert is_own("https://KEYSTONE.example:443/identity/", elsewhere)  # as the service itself knows it
    for same in (url, f"{url}/", url.removesuffix("/v3")):  # as the catalogue has it
        assert is_own(same, elsewhere), same
    for other in (
        url.replace("127.0.0.1", "localhost"),
        f"{url}/x",
        "https://keystone.example/v3",
        "own",
        "",
    ):
        assert not is_own(other, elsewhere), other
    granted = trusts.grant(trusts.login(OWN, AUTH))
    assert granted == {"kind": "trust", "trust_id": "trust-1", "project_id": "p1"}
    assert find_target({}, OWN, url) == Target("", url)


def test_a_trust_is_made_in_another_cloud(configured: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    handler, url, trusts = configured
    other = url.replace("127.0.0.1", "localhost")
    caller = trusts.login(other, AUTH)
    assert (caller.project_id, caller.target) == ("p1", "there")
    until = datetime(2099, 1, 1, 0, 0, 1, 234567)
    granted = trusts.grant(caller, until)
    assert granted == {"kind": "trust", "trust_id": "trust-1", "project_id": "p1", "target": "there"}
    (made,) = [body["trust"] for _method, path, body in handler.log if path.endswith("/OS-TRUST/trusts")]
    assert made["expires_at"] == "2099-01-01T00:00:01.234567Z"
    handler.log.clear()
    cloud = trusts.cloud(granted)
    assert cloud.auth_url == other
    cloud.connection.session.get_token()
    assert handler.log[0][2]["auth"]["scope"] == {"OS-TRUST:trust": {"id": "trust-1"}}
    assert handler.log[0][2]["auth"]["identity"]["password"]["user"]["password"] == "own"
    cloud.close()
    trusts.revoke(granted)
    assert handler.log[-1][:2] == ("DELETE", "/v3/OS-TRUST/trusts/trust-1")
    assert SECRET not in caplog.text + str(granted)
    # The service's own cloud needs no name in what is remembered.
    assert trusts.grant(trusts.login(url, AUTH)) == {
        "kind": "trust",
        "trust_id": "trust-1",
        "project_id": "p1",
    }
    assert trusts.login("", AUTH).target == ""


def test_nothing_is_sent_to_what_is_not_allowed(configured: Any) -> None:
    handler, url, trusts = configured
    for target in (url.replace("127.0.0.1", "127.1"), f"{url}/../v2", "http://localhost:9/v3"):
        with pytest.raises(InvalidInput, match="not among the clouds"):
            trusts.login(target, AUTH)
    assert handler.log == []


def test_a_trust_that_nobody_wrote_down_is_found(configured: Any) -> None:
    handler, _url, trusts = configured
    until = datetime(2099, 1, 1, 0, 0, 1, 234567)
    # As Keystone lists it, whatever it was asked for.
    listed = {"trustor_user_id": "u1", "project_id": "p1", "expires_at": "2099-01-01T00:00:01.000000Z"}
    handler.trusts = [{**listed, "id": "x", "expires_at": None}, {**listed, "id": "trust-7"}]
    now = datetime.now(UTC).replace(tzinfo=None)
    intent = Intent("i", "u1", "p1", "", until, now)
    others = [
        Intent("i", "u2", "p1", "", until, now),
        Intent("i", "u1", "p1", "", until + timedelta(seconds=1), now),
    ]
    found = {"kind": "trust", "trust_id": "trust-7", "project_id": "p1"}
    assert trusts.strays("", [intent, *others]) == [found, None, None]
    with pytest.raises(InvalidInput, match="no restore target 'gone'"):
        trusts.strays("gone", [Intent("i", "u1", "p1", "gone", until, now)])


def test_targets_of_the_configuration(configured: Any) -> None:
    _handler, _url, trusts = configured
    found = trusts._targets
    assert (found["home"].group, found["there"].group) == (TRUSTEE, "target_there")
    assert (found["home"].region, found["there"].region) == (None, "r")
