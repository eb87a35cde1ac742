from __future__ import annotations

import pytest

from gpusteward.errors import CatalogueError
from gpusteward.pricing.mig import ASSUMED, geometries, geometry, load_geometries
from gpusteward.pricing.models import bundled_models, packaged
from tests.unit.pricing.cases import H100

HEADER = packaged("mig_profiles.csv").splitlines()[0]
GOOD = "B,1g.10gb,1,7,1,8,7,,,,,,,x"


def test_every_mig_model_has_its_geometry_and_every_geometry_a_model() -> None:
    named = {model.mig_table for model in bundled_models().all if model.mig_table}
    assert named == set(geometries())
    assert ASSUMED in named


def test_profiles_of_a_board_never_exceed_it() -> None:
    for board in geometries().values():
        for profile in board.profiles.values():
            assert profile.most * profile.memory <= board.memory
            assert profile.most * profile.compute <= board.compute


def test_a_model_without_mig_has_no_geometry() -> None:
    assert geometry("Tesla T4") is None
    assert geometry("NVIDIA X1") is None
    h100 = geometry(H100)
    assert h100 is not None
    assert (h100.memory, h100.compute) == (8, 7)
    assert h100.find("5g.1gb") is None
    assert h100.find("nothing") is None


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("B,10gb,1,7,1,8,7,,,,,,,x", "is no profile of B"),
        ("B,1g,1,7,1,8,7,,,,,,,x", "is no profile of B"),
        ("B,1g.10gb,8,7,1,8,7,,,,,,,x", "is no profile of B"),
        ("B,1g.10gb,1,7,9,8,7,,,,,,,x", "is no profile of B"),
        ("B,1g.10gb,0,7,1,8,7,,,,,,,x", "`compute_slices` is not a count from 1 up"),
        ("B,1g.10gb,1,7,1,8,,,,,,,,x", "`max_instances` is not a count from 1 up"),
        ("B,1g.10gb,1,7,1.5,8,7,,,,,,,x", "not a whole number"),
        (f"{GOOD}\nB,2g.10gb,2,4,2,8,3,,,,,,,x", "totals of B are not those of its first row"),
    ],
)
def test_a_row_that_cannot_be_a_profile_is_refused(row: str, said: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        load_geometries(f"{HEADER}\n{row}\n", "mig.csv")
    assert said in str(caught.value.problems[0])
    assert load_geometries(f"{HEADER}\n{GOOD}\n", "mig.csv")["B"].memory == 8
