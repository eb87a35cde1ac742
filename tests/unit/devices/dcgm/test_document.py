from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from gpusteward.devices.dcgm_page import Skip
from gpusteward.devices.dcgm_vocabulary import Field, Scope, vocabulary
from gpusteward.model import Signal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.conftest import Golden

ROOT = Path(__file__).parents[4]
BEGIN = "<!-- fields: generated from exporter/gpusteward/devices/dcgm_vocabulary.csv -->\n"
END = "<!-- end of fields -->\n"
OF = {Scope.BOARD: "board", Scope.LEAF: "GPU or instance", Scope.WHOLE: "GPU without MIG"}


def test_the_page_shows_the_vocabulary_as_it_is(golden: Golden) -> None:
    text = (ROOT / "docs/dcgm.md").read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    assert before
    assert after
    golden(f"{before}{BEGIN}\n{fields_read()}\n{fields_unread()}\n{END}{after}", "docs/dcgm.md")


def test_every_field_of_the_shipped_counters_is_known() -> None:
    manifest = (ROOT / "k8s/monitoring/dcgm-exporter.yaml").read_text()
    (counters,) = [
        document["data"]["counters.csv"]
        for document in yaml.safe_load_all(manifest)
        if document["kind"] == "ConfigMap"
    ]
    lines = [line for line in counters.splitlines() if line.strip() and not line.startswith("#")]
    fields = [line.split(",")[0] for line in lines if line.split(",")[1].strip() != "label"]
    assert "DCGM_FI_PROF_SM_ACTIVE" in fields
    assert [name for name in fields if vocabulary()[name].signal is None] == []


def test_the_page_names_the_reasons_that_ask_for_action() -> None:
    text = (ROOT / "docs/dcgm.md").read_text()
    for skip in (Skip.UNKNOWN_FIELD, Skip.SYNTAX):
        assert f"`skipped` counts `{skip}`" in text


def fields_read() -> str:
    """One row per signal and preference: what is read, in the order of our signals."""
    lines = [
        "## Fields that are read\n",
        "| signal | of | field up to 4.8.x, and factor | field from 4.9 |",
        "|---|---|---|---|",
    ]
    order = list(Signal)
    known = [field for field in vocabulary().values() if field.signal is not None]

    def place(field: Field) -> tuple[int, int]:
        assert field.signal is not None
        return order.index(field.signal), field.preference

    for (signal, preference), group in groupby(sorted(known, key=place), key=place):
        fields = list(group)
        name = f"`{order[signal]}`" + (" (if not above)" if preference > 1 else "")
        cells = (_cell(field for field in fields if field.vocabulary in (v, "all")) for v in ("4.8", "4.9"))
        lines.append(f"| {name} | {OF[fields[0].scope]} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def fields_unread() -> str:
    """Fields that are known and left out, each with its reason."""
    lines = ["## Fields that are known and not read\n", "| field | why |", "|---|---|"]
    unread = [field for field in vocabulary().values() if field.signal is None]
    return "\n".join(lines + [f"| `{field.name}` | {field.note} |" for field in unread]) + "\n"


def _cell(fields: Iterable[Field]) -> str:
    found = list(fields)
    if not found:
        return "–"
    names = f"`{found[0].name}`" + (f" … `{found[-1].name}`, the greatest" if len(found) > 1 else "")
    return names + (f" × {found[0].factor}" if found[0].factor != 1 else "")
