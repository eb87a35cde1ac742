from __future__ import annotations

import csv
import io

import pytest

from gpusteward.errors import CatalogueError
from gpusteward.pricing import bundled_catalogue, canonical
from gpusteward.pricing.models import Models, bundled_models, model_name, packaged, same_model

HEADER = packaged("gpu_models.csv").splitlines()[0]
SPELLINGS = "spelling,model,used_by,source\n"


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("H100-SXM5-80GB", "H100-SXM5-80GB"),
        ("NVIDIA H100 80GB HBM3", "H100-SXM5-80GB"),
        ("NVIDIA H100 PCIe", "H100-PCIe-80GB"),
        ("NVIDIA H100 NVL", "H100-NVL-94GB"),
        ("NVIDIA H200", "H200-SXM-141GB"),
        ("NVIDIA GH200 480GB", "GH200-96GB"),
        ("Tesla T4", "T4"),
        ("NVIDIA T4", "T4"),
        ("NVIDIA A100-SXM4-80GB", "A100-SXM4-80GB"),
        ("A100-SXM4-40GB", "A100-SXM4-40GB"),
        ("NVIDIA A100-PCIE-40GB", "A100-PCIe-40GB"),
        ("Tesla V100-SXM2-16GB", "V100-SXM2-16GB"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA-H100-80GB-HBM3", "H100-SXM5-80GB"),
        ("NVIDIA-H100-80GB-HBM3-SHARED", "H100-SXM5-80GB"),
        ("NVIDIA-H100-80GB-HBM3-MIG-1g.10gb", "H100-SXM5-80GB"),
        ("NVIDIA-A100-SXM4-40GB-MIG-1g.5gb-SHARED", "A100-SXM4-40GB"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "A100-SXM4-40GB"),
        ("NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition", "RTX-PRO-6000-Server"),
        ("nvidia-tesla-t4", "T4"),
        ("nvidia-tesla-a100", "A100-SXM4-40GB"),
        ("nvidia-a100-80gb", "A100-SXM4-80GB"),
        ("nvidia-l4", "L4"),
        ("nvidia-h100-80gb", "H100-SXM5-80GB"),
        ("nvidia-h100-mega-80gb", "H100-SXM5-80GB"),
        ("nvidia-h200-141gb", "H200-SXM-141GB"),
        ("nvidia-b200", "B200"),
        ("nvidia-gb200", "GB200"),
        ("nvidia-rtx-pro-6000", "RTX-PRO-6000-Server"),
        ("t4", "T4"),
        ("t4g", "T4G"),
        ("a10g", "A10G"),
        ("l4", "L4"),
        ("l40s", "L40S"),
        ("h100", "H100-SXM5-80GB"),
        ("h200", "H200-SXM-141GB"),
        ("b200", "B200"),
        ("radeon-pro-v520", "Radeon-Pro-V520"),
        ("A100_NVLINK_80GB", "A100-SXM4-80GB"),
        ("H100_PCIE", "H100-PCIe-80GB"),
        ("RTX_A6000", "RTX-A6000"),
        ("H100 SXM", "H100-SXM5-80GB"),
    ],
)
def test_every_spelling_that_is_met_leads_to_its_model(spelling: str, name: str) -> None:
    model = canonical(spelling)
    assert model is not None
    assert model.name == name


@pytest.mark.parametrize(
    "spelling",
    [
        "",
        "-",
        "a100",  # 40 and 80 GB differ in price by half
        "v100",  # 16 and 32 GB
        "gh200",  # 96 and 144 GB
        "NVIDIA A10-24Q",  # a vGPU profile is a part of a board
        "GRID T4-16Q",
        "NVIDIA H1000",
        "NVIDIA Graphics Device",
        "SHARED",
    ],
)
def test_an_unknown_or_ambiguous_spelling_is_no_model(spelling: str) -> None:
    assert canonical(spelling) is None


def test_boards_that_differ_only_in_form_or_memory_stay_apart() -> None:
    names = {model_name(s) for s in ("NVIDIA A10", "NVIDIA A10G", "NVIDIA L40", "NVIDIA L40S", "T4", "T4G")}
    assert names == {"A10", "A10G", "L40", "L40S", "T4", "T4G"}


def test_every_price_row_has_a_model_under_its_own_name() -> None:
    names = {model.name for model in bundled_models().all}
    assert {row.model for row in bundled_catalogue().rows} <= names
    written = {row["gpu_model"] for row in csv.DictReader(io.StringIO(packaged("gpu_prices.csv")))}
    assert written <= names


def test_unknown_models_are_the_same_only_when_spelt_alike() -> None:
    assert same_model("h100", "NVIDIA H100 80GB HBM3")
    assert not same_model("h100", "NVIDIA H100 PCIe")
    assert same_model("GeForce GTX 970", "geforce-gtx-970")
    assert not same_model("GeForce GTX 970", "h100")
    assert not same_model("", "")
    assert model_name("GeForce GTX 970") == "GeForce GTX 970"


def test_a_model_tells_its_figures_or_that_they_are_not_known() -> None:
    h100, v710 = canonical("h100"), canonical("Radeon-Pro-V710")
    assert h100 is not None
    assert h100.vendor == "nvidia"
    assert h100.memory_gb == 80
    assert h100.tdp_w == 700
    assert h100.nvlink
    assert h100.mig_table == "H100-80GB"
    assert v710 is not None
    assert (v710.memory_gb, v710.tdp_w, v710.mig_table) == (None, None, "")


def test_a_spelling_claimed_for_two_models_is_refused() -> None:
    rows = f"{HEADER}\nA,nvidia,,,,,,,,no,,Shared name,\nB,nvidia,,,,,,,,no,,shared-NAME,\n"
    with pytest.raises(CatalogueError) as caught:
        Models(rows, SPELLINGS)
    (problem,) = caught.value.problems
    assert problem.path == "gpu_models.csv:3"
    assert "already a spelling of A" in problem.message


def test_a_spelling_needs_a_model_and_a_source() -> None:
    with pytest.raises(CatalogueError) as caught:
        Models(f"{HEADER}\nA,nvidia,,,x,,,,,no,,,\n", f"{SPELLINGS}b,B,test,a test\na1,A,test,\n")
    assert [problem.path for problem in caught.value.problems] == [
        "gpu_models.csv:2",
        "gpu_spellings.csv:2",
        "gpu_spellings.csv:3",
    ]


def test_a_spelling_with_its_model_and_source_is_taken() -> None:
    models = Models(f"{HEADER}\nA,nvidia,,,80,,,,,no,,,\n", f"{SPELLINGS}a1,A,test,a test\n")
    found = models.canonical("NVIDIA A1")
    assert found is not None
    assert found.name == "A"
