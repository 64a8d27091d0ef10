"""What OpenStackClient asks of a plugin."""

from __future__ import annotations

import argparse
from importlib import metadata
from typing import Any

from osc_lib import utils

from refloat.client import add_to
from refloat.client.proxy import Proxy

DEFAULT_API_VERSION = "1"
API_VERSION_OPTION = "os_data_protection_api_version"
API_NAME = "data_protection"
API_VERSIONS = {"1": "refloat.client.proxy.Proxy"}


def make_client(instance: Any) -> Proxy:
    """The service, as the user that OpenStackClient has logged in."""
    return add_to(instance.sdk_connection)


def build_option_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The option that chooses the version of the API; there is one."""
    try:
        metadata.distribution("python-karborclient")
    except metadata.PackageNotFoundError:
        parser.add_argument(
            "--os-data-protection-api-version",
            metavar="<data-protection-api-version>",
            default=utils.env("OS_DATA_PROTECTION_API_VERSION", default=DEFAULT_API_VERSION),
            help=f"Data protection API version, default={DEFAULT_API_VERSION} "
            "(Env: OS_DATA_PROTECTION_API_VERSION)",
        )
    # Else that package adds the option, and a second one would break every command of OpenStackClient.
    return parser
