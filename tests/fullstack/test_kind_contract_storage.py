"""The whole life of images and volumes, on a real cloud."""

from __future__ import annotations

import pytest

from refloat.cloud import Cloud
from tests.fullstack.kind_cases import STORAGE_CASES, CloudCase
from tests.kind_contract import whole_life


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", STORAGE_CASES, ids=lambda kind: kind.plugin)
def test_whole_life(kind: type[CloudCase], cloud: Cloud) -> None:
    case = kind(cloud)
    try:
        whole_life(case)
    finally:
        case.clear()
