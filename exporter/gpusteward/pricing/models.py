"""One table of GPU models, and every spelling under which they are met.

A spelling is compared in lower case with each run of other characters as one dash, so `NVIDIA H100 80GB HBM3`
(NVML, DCGM) and `NVIDIA-H100-80GB-HBM3` (GPU feature discovery) are the same; what GPU feature discovery
appends for shared GPUs (`-SHARED`) and what NVML and it append for MIG (`MIG 1g.10gb`) is dropped, and the
vendor's name in front may be there or not.

Rule for short names: one without a form factor means the SXM board (`h100`, `a100-80gb`); one that leaves the
memory size open (`a100`, `v100`, `gh200`) means no model, for the sizes differ in price by up to half. A vGPU
profile is no model either: it is a part of a board whose size its name does not tell alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from gpusteward.errors import CatalogueError, Problem
from gpusteward.pricing.table import read

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction

    from gpusteward.pricing.table import Cells

_MODELS = "gpu_models.csv"
_SPELLINGS = "gpu_spellings.csv"
_MODEL_COLUMNS = (
    "model",
    "vendor",
    "arch",
    "compute_capability",
    "memory_gb",
    "bandwidth_gb_s",
    "dense_fp16_tflops",
    "dense_fp8_tflops",
    "tdp_w",
    "nvlink",
    "mig_table",
    "aliases",
    "note",
)
_SPELLING_COLUMNS = ("spelling", "model", "used_by", "source")
_OTHER = re.compile(r"[^a-z0-9]+")
_SUFFIX = re.compile(r"(-mig-.*)?(-shared)?$")
_VENDOR = "nvidia-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A GPU model.

    Attributes:
        name: our name, as in the catalogue: `H100-SXM5-80GB`.
        vendor: `nvidia` or `amd`.
        memory_gb: gigabytes as marketed; None when not known.
        nvlink: True when boards are linked on a carrier of 2, 4, 8 or 16 (NVLink, Infinity Fabric).
        tdp_w: board power in watts; None when not known.
        mig_table: which rows of mig_profiles.csv are its; empty when it has none.
    """

    name: str
    vendor: str
    memory_gb: Fraction | None
    tdp_w: Fraction | None
    nvlink: bool
    mig_table: str


class Models:
    """The models by every spelling.

    Args:
        models: text of gpu_models.csv.
        spellings: text of gpu_spellings.csv.

    Raises:
        CatalogueError: a row is wrong, or a spelling is claimed for two models.
    """

    def __init__(self, models: str, spellings: str) -> None:
        self._problems: list[Problem] = []
        self._by_key: dict[str, Model] = {}
        self.all = tuple(self._model(cells) for cells in self._rows(models, _MODELS, _MODEL_COLUMNS))
        for cells in self._rows(spellings, _SPELLINGS, _SPELLING_COLUMNS):
            self._spelling(cells)
        if self._problems:
            raise CatalogueError("The table of GPU models is wrong.", tuple(self._problems))

    @property
    def spellings(self) -> Mapping[str, Model]:
        """Every known spelling, normalised, and its model."""
        return self._by_key

    def canonical(self, spelling: str) -> Model | None:
        """The model of a spelling; None when it is unknown or stands for several."""
        key = _SUFFIX.sub("", normalised(spelling))
        tried = (key, key.removeprefix(_VENDOR), _VENDOR + key)
        return next((self._by_key[name] for name in tried if name in self._by_key), None)

    def beginning(self, spelling: str) -> tuple[Model, ...]:
        """The models whose names begin with a spelling that leaves more open (`a100`, `a100-sxm`).

        A single word begins only whole words, so that `a1` does not begin A100.
        """
        key = normalised(spelling).removeprefix(_VENDOR)
        start = key if "-" in key else f"{key}-"
        return tuple(model for model in self.all if normalised(model.name).startswith(start))

    def _rows(self, text: str, name: str, columns: tuple[str, ...]) -> tuple[Cells, ...]:
        table = read(text, name, columns)
        self._problems.extend(table.problems)
        return table.rows

    def _model(self, cells: Cells) -> Model:
        model = Model(
            name=cells.required("model"),
            vendor=cells.required("vendor"),
            memory_gb=cells.number("memory_gb"),
            tdp_w=cells.number("tdp_w"),
            nvlink=cells.text("nvlink") == "yes",
            mig_table=cells.text("mig_table"),
        )
        self._problems.extend(cells.problems)
        for spelling in (model.name, *filter(None, cells.text("aliases").split("|"))):
            self._claim(spelling, model, cells.path)
        return model

    def _spelling(self, cells: Cells) -> None:
        cells.required("source")
        named = [model for model in self.all if model.name == cells.text("model")]
        if not named:
            cells.problems.append(Problem(cells.path, f"no model is named {cells.text('model')!r}"))
        self._problems.extend(cells.problems)
        for model in named:
            self._claim(cells.required("spelling"), model, cells.path)

    def _claim(self, spelling: str, model: Model, path: str) -> None:
        owner = self._by_key.setdefault(normalised(spelling), model)
        if owner.name != model.name:
            message = f"{spelling!r} is already a spelling of {owner.name}"
            self._problems.append(Problem(path, message, "keep one of the two"))


def normalised(spelling: str) -> str:
    """A spelling in lower case with each run of other characters as one dash, ends trimmed."""
    return _OTHER.sub("-", spelling.casefold()).strip("-")


def packaged(name: str) -> str:
    """The text of a file of the bundled catalogue."""
    return (resources.files("gpusteward.pricing") / "catalogue" / name).read_text(encoding="utf-8")


@cache
def bundled_models() -> Models:
    """The models that come with the package."""
    return Models(packaged(_MODELS), packaged(_SPELLINGS))


def canonical(spelling: str) -> Model | None:
    """The bundled model of a spelling; None when it is unknown or stands for several. See the module."""
    return bundled_models().canonical(spelling)


def same_model(one: str, other: str) -> bool:
    """Whether two spellings mean the same model; unknown ones only when they are spelt alike."""
    first, second = canonical(one), canonical(other)
    if first is None or second is None:
        return bool(one) and normalised(one) == normalised(other)
    return first.name == second.name


def model_name(spelling: str) -> str:
    """Our name of a spelling's model; the spelling itself when it is unknown."""
    model = canonical(spelling)
    return model.name if model else spelling
