"""The JSON of /snapshot: a stable shape, whole money, null for what is not known."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gpusteward.exposition.document import document, encode
from gpusteward.exposition.schema import SnapshotDocument
from gpusteward.model import Allocation, Cause, Holder, Signal
from tests import snapshots

if TYPE_CHECKING:
    from gpusteward.model import LeafSnapshot
    from tests.conftest import Golden


def with_leaf(leaf: LeafSnapshot) -> bytes:
    return encode(snapshots.snapshot(replace(snapshots.whole_gpu(), leaves=(leaf,))))


def test_the_document_is_as_it_was_reviewed(golden: Golden) -> None:
    text = json.dumps(json.loads(encode(snapshots.mixed_snapshot())), indent=1)
    golden(text + "\n", "tests/golden/exposition/snapshot.json")


def test_the_document_reads_back_as_its_own_schema() -> None:
    snapshot = snapshots.mixed_snapshot()
    assert msgspec.json.decode(encode(snapshot), type=SnapshotDocument, strict=True) == document(snapshot)


def test_the_document_tells_what_nvml_tells_and_who_was_summed_up() -> None:
    told = json.loads(encode(snapshots.nvml_snapshot()))
    (gpu,) = told["nodes"][0]["gpus"]
    (leaf,) = gpu["leaves"]
    assert told["health"]["stuck"] is False
    assert gpu["xid_last"] == {"31": snapshots.AT.wall - 60}
    assert (leaf["summed_holders"], {held["kind"] for held in leaf["allocations"]}) == (1, {"process"})
    assert json.loads(encode(snapshots.mixed_snapshot()))["health"]["stuck"] is None


def test_money_is_whole_micro_units_and_absent_where_there_is_no_price() -> None:
    priced, unpriced = json.loads(
        encode(snapshots.snapshot(snapshots.whole_gpu(), snapshots.unpriced_gpu()))
    )["nodes"][0]["gpus"]
    assert priced["leaves"][0]["price"]["micro_per_hour"] == 6_880_000
    assert [charge["cost_micro"] for charge in priced["leaves"][0]["charges"]] == [10_320_000, 3_440_000]
    assert unpriced["leaves"][0]["price"] is None
    assert [charge["cost_micro"] for charge in unpriced["leaves"][0]["charges"]] == [None, None]
    assert unpriced["leaves"][0]["charges"][0]["held_us"] == 5_400_000_000


def test_an_exemption_for_ever_is_not_taken_for_none() -> None:
    def exempt_until(until: float | None) -> object:
        leaf = snapshots.busy_leaf()
        held = (Allocation(snapshots.TRAINER, Fraction(1, 3), exempt_until=until),)
        text = with_leaf(replace(leaf, leaf=replace(leaf.leaf, allocations=held)))
        (allocation,) = json.loads(text)["nodes"][0]["gpus"][0]["leaves"][0]["allocations"]
        assert allocation["share"] == "1/3"
        return allocation["exempt_until"]

    assert exempt_until(math.inf) == "always"
    assert exempt_until(1_790_000_000.0) == 1_790_000_000.0
    assert exempt_until(None) is None


def test_holders_that_are_not_known_are_null_and_nobody_is_an_empty_list() -> None:
    gpus = json.loads(encode(snapshots.snapshot(snapshots.unknown_gpu(), snapshots.mig_gpu())))["nodes"][0][
        "gpus"
    ]
    assert gpus[0]["leaves"][0]["allocations"] is None
    assert gpus[0]["leaves"][0]["activity"] is None
    assert gpus[0]["leaves"][0]["active_us"] is None
    assert gpus[1]["leaves"][2]["allocations"] == []


def test_a_node_without_a_price_says_why() -> None:
    node = snapshots.node((), rate=None, missing_price="p9.xlarge is in no price list", seen=None)
    (shown,) = json.loads(encode(snapshots.snapshot(nodes=(node,))))["nodes"]
    assert (shown["price"], shown["missing_price"]) == (None, "p9.xlarge is in no price list")
    assert shown["seen"] is None


def test_the_beginning_of_a_state_is_on_the_wall_clock() -> None:
    (leaf,) = json.loads(encode(snapshots.snapshot(snapshots.whole_gpu())))["nodes"][0]["gpus"][0]["leaves"]
    assert leaf["state_since"] == snapshots.AT.wall - 600


def test_a_signal_that_is_no_number_is_left_out() -> None:
    leaf = snapshots.busy_leaf()
    signals = {Signal.SM_ACTIVE: math.nan, Signal.MEMORY_USED: 0.0}
    text = with_leaf(replace(leaf, leaf=replace(leaf.leaf, signals=signals)))
    (shown,) = json.loads(text)["nodes"][0]["gpus"][0]["leaves"]
    assert shown["signals"] == {"memory_used_bytes": 0.0}


@settings(deadline=None)
@given(st.text(st.characters(codec=None)))
@example("a byte that was no UTF-8: \udc80")
def test_any_name_gives_a_document_that_reads_back(name: str) -> None:
    portion = snapshots.portion(Holder(name, "pod", "main"), Cause.USED)
    read = msgspec.json.decode(
        with_leaf(replace(snapshots.busy_leaf(), portions=(portion,))), type=SnapshotDocument
    )
    shown = read.nodes[0].gpus[0].leaves[0].portions[0].namespace
    assert shown == name.encode("utf-8", "replace").decode()


@pytest.mark.parametrize(
    ("held_ppb_us", "expected"), [(0, 0), (499_999_999, 0), (500_000_000, 1), (10**24, 10**15)]
)
def test_held_time_is_rounded_to_the_nearest_microsecond(held_ppb_us: int, expected: int) -> None:
    charge = replace(snapshots.charge(snapshots.TRAINER, Cause.USED, 1, None), held=held_ppb_us)
    text = with_leaf(replace(snapshots.busy_leaf(), charges=(charge,)))
    (shown,) = json.loads(text)["nodes"][0]["gpus"][0]["leaves"][0]["charges"]
    assert shown["held_us"] == expected
