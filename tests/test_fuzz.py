"""A short run of fuzz.py: damaged styles, recipes, job files and manifests end in a picture, a notice or one line."""

import pytest
from fuzz import KINDS, Shop, fuzz, shop_in

FEW = {"styles": 60, "recipes": 20, "jobs": 30, "manifests": 8}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return shop_in(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_end_in_a_picture_a_notice_or_one_line(shop: Shop, kind: str) -> None:
    told = fuzz(shop, {kind: FEW[kind]}, seed=2)
    assert told["faults"] == []
    assert sum(count for came, count in told[kind].items() if came != "more_mb") == FEW[kind]
