"""What `deploy/` offers to operators fits what the code reads."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from refloat.providers.provider import Providers
from tests.install import guide

DEPLOY = Path(__file__).parents[3] / "deploy"
PROGRAMS = Path(sys.prefix) / "bin"


def run(*words: str | Path) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_configuration_names_only_options_that_there_are() -> None:
    generator = DEPLOY / "config-generator.conf"
    sample = run(PROGRAMS / "oslo-config-generator", "--config-file", generator)
    for section in ("[database]", "[bank]", "[keystone_authtoken]", "[trustee]", "[oslo_policy]", "[cors]"):
        assert section in sample
    run(
        PROGRAMS / "oslo-config-validator", "--config-file", generator,
        "--input-file", DEPLOY / "refloat.conf",
        # these are the options of the plugin that auth_type names, which the validator does not know
        "--exclude-group", "keystone_authtoken",
    )  # fmt: skip


def test_the_provider_files_load_with_their_fixed_ids() -> None:
    defined = {provider.id: provider for provider in Providers(DEPLOY / "providers.d") if provider.file}
    assert set(defined) == {
        "b766f37c-d011-4026-8228-28730d734a3f",
        "cf56bd3e-97a7-4078-b6d5-f36246333fd9",
        "90d5bfea-a259-41e6-80c6-dcfcfcd9d827",
        "6659007d-6f66-4a0f-9cb4-17d6aded0bb9",
    }
    for provider in defined.values():
        assert provider.notes == ()
        assert provider.plugins()


def test_the_guide_uses_what_is_there() -> None:
    guide = (DEPLOY.parent / "docs/install.md").read_text()
    for name in (
        "refloat.conf", "uwsgi.ini", "providers.d", "register.py", "config-generator.conf", "Containerfile",
        "helm/refloat", "systemd/refloat-api.service", "systemd/refloat-worker@.service",
    ):  # fmt: skip
        assert f"deploy/{name}" in guide
        assert (DEPLOY / name).exists()
    words = {
        line.split("@")[1] for line in (DEPLOY / "refloat.conf").read_text().splitlines() if "= @" in line
    }
    assert words == {"DATABASE", "AUTH_URL", "REGION", "PASSWORD"}
    for word in words:
        assert f"s|@{word}@|" in guide


def test_the_commands_of_the_guides_can_be_typed() -> None:
    """As `make test-install` does, which is too long for every submission."""
    docs = DEPLOY.parent / "docs"
    for section in range(1, 10):
        assert guide.commands(docs / "install.md", f"{section}.")
    for title in ("Upgrading", "Bringing the database back", "In containers"):
        assert guide.commands(docs / "operate.md", title)


def test_the_chart_starts_what_the_image_offers() -> None:
    entry = (DEPLOY / "container/entry.sh").read_text()
    offered = set(re.findall(r"^  (\w+)\) exec", entry, flags=re.MULTILINE))
    assert {"api", "worker", "manage", "status"} <= offered
    templates = [path.read_text() for path in (DEPLOY / "helm/refloat/templates").glob("*.yaml")]
    started = {word for text in templates for word in re.findall(r"args: \[(\w+)", text)}
    assert {"api", "worker", "manage"} <= started <= offered
    ports = set(re.findall(r"containerPort: (\d+)", "".join(templates)))
    assert ports == set(re.findall(r"http-socket = [\d.]+:(\d+)", (DEPLOY / "uwsgi.ini").read_text()))
