"""docs/nvml.md says what the code does: reasons, faults, fields."""

from __future__ import annotations

import re

from gpusteward.devices.nvml import reasons
from gpusteward.devices.nvml.fields import FIELDS
from gpusteward.devices.released import RELEASED
from gpusteward.model import Fault
from gpusteward.sampler import INTERNAL
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "nvml.md").read_text(encoding="utf-8")


def test_every_reason_is_explained_and_no_other() -> None:
    told = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert told == {*reasons.HINTS, RELEASED, INTERNAL}


def test_the_faults_of_a_gpu_are_explained() -> None:
    for fault in (Fault.LOST, Fault.RESET_REQUIRED, Fault.UNREADABLE):
        assert f"`{fault}`" in PAGE


def test_every_field_is_named_and_no_other() -> None:
    cells = [row.split("|")[2] for row in PAGE.splitlines() if row.startswith("|") and "field" in row]
    told: set[int] = set()
    for first, last in re.findall(
        r"(\d+)(?:–(\d+))?", " ".join(re.sub(r"\(.*?\)", "", cell) for cell in cells)
    ):
        told.update(range(int(first), int(last or first) + 1))
    told -= {550, 5}  # a driver, and a generation of NVLink
    assert told == {field.ident for field in FIELDS}
