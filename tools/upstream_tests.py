"""Runs Karbor's own fullstack tests and prints, for each, what has become of it; see upstream.sh.

The tests are not changed. The cloud is made as they expect one (a network ``private``, a flavor ``cirros256``,
an image ``cirros``); of theirs only the seconds that they sleep, the password of ``admin``, and the URL of the
identity service, which they take to be DevStack's, are set to what they are here.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any

import openstack
import yaml

SECONDS = 180
MODULES = (
    "checkpoints",
    "plans",
    "protectables",
    "providers",
    "restores",
    "scheduled_operations",
    "triggers",
)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def prepare(member: Any, admin: Any) -> None:
    """What DevStack has, where it is not there."""
    if not list(member.image.images(name="cirros")):
        image = next(iter(member.image.images(name="guest")))
        made = member.image.create_image(
            name="cirros", container_format="bare", disk_format=image.disk_format
        )
        made.upload(member.image, data=member.image.download_image(image).content)
    if not admin.compute.find_flavor("cirros256"):
        admin.compute.create_flavor(name="cirros256", ram=128, vcpus=1, disk=1)
    if not list(member.network.networks(name="private")):
        network = member.network.create_network(name="private")
        member.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.77.0.0/24")
    # DevStack's admin has a role in the project of everybody.
    identity = admin.identity
    identity.assign_project_role_to_user(
        project=member.current_project_id, user=admin.current_user_id, role=identity.find_role("admin")
    )


def configure(member: Any) -> None:
    """The cloud ``devstack``, in whose project the tests work."""
    auth = dict(member.config.auth)
    auth["auth_url"] = auth["auth_url"].removesuffix("/v3")
    for name in ("user_domain", "project_domain"):
        auth.pop(f"{name}_name", None)
        auth[f"{name}_id"] = "default"
    folder = Path(tempfile.mkdtemp())
    (folder / "clouds.yaml").write_text(
        yaml.safe_dump({"clouds": {"devstack": {"auth": auth, "region_name": "RegionOne"}}})
    )
    os.environ["OS_CLIENT_CONFIG_FILE"] = str(folder / "clouds.yaml")
    os.environ.pop("OS_CLOUD", None)
    os.environ |= {"OS_LOG_CAPTURE": "1", "OS_STDOUT_CAPTURE": "1", "OS_STDERR_CAPTURE": "1"}


def suite(password: str, identity: str, wanted: list[str], *, shares: bool) -> unittest.TestSuite:
    """The tests whose names contain one of these; all, when there are none."""
    from karbor.tests.fullstack import karbor_base, karbor_objects, test_restores

    karbor_base._get_endpoint = lambda _service: identity  # it uses a library in a way that has ended
    if not shares:  # its client is made before each test, of whatever
        karbor_base._get_manila_client = lambda *_version: None
    for name in ("SHORT_SLEEP", "MEDIUM_SLEEP", "LONG_SLEEP", "HUGE_SLEEP"):
        setattr(karbor_objects, name, 1)
    test_restores.RestoresTest.restore_auth = {"type": "password", "username": "admin", "password": password}
    test_restores.RestoresTest.get_restore_target = staticmethod(lambda _endpoint: identity)
    found = unittest.TestSuite()
    for module in MODULES:
        loaded = unittest.defaultTestLoader.loadTestsFromName(f"karbor.tests.fullstack.test_{module}")
        for case in loaded:
            for test in case:
                if not wanted or any(each in test.id() for each in wanted):
                    found.addTest(test)
    return found


class Told(unittest.TestResult):
    """Prints a line for each test."""

    def startTest(self, test: Any) -> None:
        super().startTest(test)
        self.begun = time.monotonic()

    def _tell(self, test: Any, word: str, why: str = "") -> None:
        name = test.id().removeprefix("karbor.tests.fullstack.")
        say(f"{word:5} {name} ({time.monotonic() - self.begun:.0f} s){why and ': '}{why}")

    def addSuccess(self, test: Any) -> None:
        self._tell(test, "ok")

    def addSkip(self, test: Any, reason: Any = None, details: Any = None) -> None:
        super().addSkip(test, str(reason))
        self._tell(test, "skip", str(reason or details))

    def addError(self, test: Any, err: Any, details: Any = None) -> None:
        self.addFailure(test, err, details)

    def addFailure(self, test: Any, err: Any, details: Any = None) -> None:
        self.failures.append((test, ""))
        text = str(details["traceback"].as_text()) if details and "traceback" in details else str(err[1])
        words = [line for line in text.splitlines() if line and not line.startswith(" ")]
        self._tell(test, "FAIL", words[-1][:300] if words else text)


def main() -> int:
    member, admin = (openstack.connect(cloud=name, api_timeout=SECONDS) for name in ("demo", "admin"))
    prepare(member, admin)
    password, url = admin.config.auth["password"], member.config.auth["auth_url"]
    configure(member)
    shares = any(service["type"] == "sharev2" for service in member.service_catalog)
    result = Told()
    suite(password, url, sys.argv[1:], shares=shares).run(result)
    skipped, failed = len(result.skipped), len(result.failures)
    passed = result.testsRun - skipped - failed
    say(f"{passed} of {result.testsRun} passed, {failed} failed, {skipped} skipped")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
