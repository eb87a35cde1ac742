from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from gpusteward.clock import Moment
from gpusteward.devices.dcgm_readings import Reader
from gpusteward.errors import SourceError
from tests.captures.synthesise import PAGES

if TYPE_CHECKING:
    from gpusteward.model import GpuReading, InstanceReading, Readings

AT = Moment(1_800_000_000.0, 1_000.0)
CAPTURES = Path(__file__).parents[3] / "captures"
H100S = (CAPTURES / "dcgm-8xh100-one-pod.prom").read_text().splitlines()
MIG = PAGES["4.8.3-mig-h100-4g-3g"]().splitlines()
LABELS = ["UUID", "gpu", "GPU_I_ID", "GPU_I_PROFILE", "Hostname", "pod", "exported_pod", "vgpu", "nvlink"]
FIELDS = [
    "DEV_GPU_TEMP",
    "DEV_FB_USED",
    "DEV_GPU_UTIL",
    "PROF_SM_ACTIVE",
    "DEV_MEMORY_TEMP",
    "DEV_UNHEARD_OF",
]


def read(lines: list[str]) -> Readings:
    return Reader("fallback").read("\n".join(lines), AT)


words = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=8)
shown_values = st.one_of(st.floats().map(repr), st.integers().map(str), words)
made_rows = st.builds(
    lambda field, labels, value: (
        f"DCGM_FI_{field}{{" + ",".join(f'{name}="{text}"' for name, text in labels.items()) + f"}} {value}"
    ),
    st.sampled_from(FIELDS),
    st.dictionaries(st.sampled_from(LABELS), words),
    shown_values,
)
# Lines that cannot be DCGM samples: of any text, or good ones broken off before their value.
broken_off = st.sampled_from(H100S).flatmap(
    lambda line: st.integers(0, line.index("}")).map(lambda n: line[:n])
)
garbage = st.one_of(words.filter(lambda text: not text.lstrip().startswith("DCGM_")), broken_off)


@given(st.lists(st.one_of(made_rows, words, st.sampled_from(MIG))))
def test_any_page_gives_readings_or_a_source_error(lines: list[str]) -> None:
    try:
        readings = read(lines)
    except SourceError as error:
        assert error.reason in {"empty", "not_dcgm", "no_gpus"}  # noqa: PT017 - both outcomes are right
        return
    for node in readings.nodes:
        for gpu in node.gpus:
            leaves: list[GpuReading | InstanceReading] = [gpu, *gpu.instances]
            for leaf in leaves:
                for signal, value in leaf.signals.items():
                    assert not signal.endswith("_ratio") or 0 <= value <= 1
                assert sum(allocation.share for allocation in leaf.allocations or ()) in (0, 1)
    assert all(count > 0 for count in readings.skipped.values())


@given(st.data())
def test_garbage_lines_never_lose_good_ones(data: st.DataObject) -> None:
    lines = list(H100S)
    for text in data.draw(st.lists(garbage, max_size=6)):
        lines.insert(data.draw(st.integers(0, len(lines))), text)
    assert read(lines).nodes == read(H100S).nodes


@given(st.permutations(MIG))
def test_the_order_of_lines_does_not_matter(lines: list[str]) -> None:
    assert read(lines) == read(MIG)


@given(st.lists(made_rows, min_size=1), st.data())
def test_the_order_of_any_rows_does_not_matter(lines: list[str], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(lines))
    try:
        expected = read(lines)
    except SourceError as error:
        assert error.reason in {"not_dcgm", "no_gpus"}  # noqa: PT017 - such a page has no order to speak of
        return
    assert read(shuffled) == expected
