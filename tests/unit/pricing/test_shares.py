from __future__ import annotations

import datetime as dt
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusteward.model import (
    Allocation,
    AttributedGpu,
    Basis,
    CapacityType,
    Device,
    Fault,
    GpuReading,
    Holder,
    Leaf,
    LeafKind,
    PriceSource,
    Rate,
)
from gpusteward.pricing import leaf_rates, split, with_rest
from gpusteward.pricing.mig import geometries
from gpusteward.pricing.models import bundled_models
from tests.unit.pricing.cases import H100

EIGHTH = Fraction(1, 8)
A100 = "NVIDIA A100-SXM4-40GB"
RTX = "NVIDIA RTX PRO 6000 Blackwell Server Edition"
RATE = Rate(
    micro_per_hour=6_880_000,
    currency="USD",
    source=PriceSource.CATALOGUE,
    basis=Basis.WHOLE_NODE,
    capacity_type=CapacityType.ON_DEMAND,
    confidence="high",
    as_of=dt.date(2026, 7, 20),
    detail="a row",
)


def mig_gpu(*profiles: str, fault: Fault | None = None, model: str = H100) -> AttributedGpu:
    """A MIG GPU with these instances, the first held by a pod."""
    leaves = tuple(
        Leaf(
            device=Device(
                node="n1",
                uuid="GPU-1",
                gi=str(n),
                gpu="0",
                kind=LeafKind.INSTANCE,
                model=model,
                mig_profile=profile,
            ),
            allocations=() if n else (Allocation(Holder("a", "b", "c")),),
            fault=fault,
        )
        for n, profile in enumerate(profiles)
    )
    return AttributedGpu(
        reading=GpuReading(uuid="GPU-1", gpu="0", model=model, mig=True), fault=fault, leaves=leaves
    )


@pytest.mark.parametrize(
    ("model", "profiles", "eighths", "free", "stranded"),
    [
        (H100, ["4g.40gb", "3g.40gb"], [4, 4], 0, 0),
        (H100, ["1g.10gb"] * 7, [1] * 7, 0, 1),
        (H100, ["1g.10gb"] * 6, [1] * 6, 2, 0),
        (A100, ["1g.5gb"] * 6, [1] * 6, 2, 0),
        (H100, ["2g.20gb"] * 3 + ["1g.10gb"], [2, 2, 2, 1], 0, 1),
        (H100, ["2g.20gb"] * 3, [2, 2, 2], 2, 0),
        (H100, ["3g.40gb"] * 2, [4, 4], 0, 0),
        (H100, ["1g.20gb"] * 4, [2] * 4, 0, 0),
        (H100, ["7g.80gb"], [8], 0, 0),
        (H100, ["4g.40gb"], [4], 4, 0),
        (H100, [], [], 8, 0),
        ("NVIDIA A30", ["1g.6gb", "2g.12gb"], [2, 4], 2, 0),
        (RTX, ["1g.24gb-me", "1g.24gb+gfx", "1g.24gb+me.all"], [2, 2, 2], 2, 0),
    ],
)
def test_a_layout_is_shared_by_memory_slices(
    model: str, profiles: list[str], eighths: list[int], free: int, stranded: int
) -> None:
    shares = split(model, profiles)
    assert shares.instances == tuple(n * EIGHTH for n in eighths)
    assert (shares.free, shares.stranded) == (free * EIGHTH, stranded * EIGHTH)
    assert "assumed" not in shares.detail


@pytest.mark.parametrize(
    "spelling",
    [
        "1g.10gb+me",
        "1g.10gb.me",
        "mig-1g.10gb.me",
        "1g.10gb-me",
        "1g.10gb+gfx",
        "MIG-1G.10GB",
        " 1g.10gb ",
        "1c.1g.10gb",
    ],
)
def test_every_spelling_of_a_profile_takes_its_slice(spelling: str) -> None:
    assert split(H100, [spelling]).instances == (EIGHTH,)


def test_a_media_profile_is_there_once_and_the_plain_ones_beside_it() -> None:
    assert split(H100, ["1g.10gb+me"] + ["1g.10gb"] * 6).stranded == EIGHTH
    assert split("NVIDIA A30", ["1g.6gb+me"] * 4).free == 0


def test_a_size_that_a_driver_named_anew_is_the_same_profile() -> None:
    assert split("GB200", ["1g.24gb"]).instances == (EIGHTH,)
    assert split("GB200", ["1g.48gb"]).instances == (2 * EIGHTH,)


@pytest.mark.parametrize(
    ("profile", "eighths"),
    [("1g.5gb", 1), ("2g", 2), ("3g.20gb", 4), ("4g.33gb", 4), ("7g.96gb", 8), ("1g.0gb", 1)],
)
def test_an_unknown_gpu_has_the_slices_of_the_profiles_name(profile: str, eighths: int) -> None:
    shares = split("NVIDIA X1", [profile])
    assert shares.instances == (eighths * EIGHTH,)
    assert "MIG geometry of 'NVIDIA X1' is not known, 8 slices assumed" in shares.detail


def test_a_board_of_four_slices_is_told_by_its_model() -> None:
    assert split("NVIDIA A30", ["1g.7gb"]).instances == (Fraction(1, 4),)
    assert split("NVIDIA A30", ["4g.1gb"]).instances == (Fraction(1),)


@pytest.mark.parametrize("profile", ["", "weird", "5g.50gb", "1g+", "g.10gb"])
def test_a_profile_that_is_not_understood_makes_equal_parts_and_says_so(profile: str) -> None:
    shares = split(H100, ["4g.40gb", profile, "1g.10gb"])
    assert shares.instances == (Fraction(1, 3),) * 3
    assert shares.free == shares.stranded == 0
    assert f"profile {profile!r} is not understood, equal parts assumed" in shares.detail


def test_an_over_full_layout_is_scaled_down_and_says_so() -> None:
    shares = split(H100, ["7g.80gb", "3g.40gb"])
    assert shares.instances == (Fraction(2, 3), Fraction(1, 3))
    assert shares.free == shares.stranded == 0
    assert "12 memory slices in instances of a GPU of 8, scaled down to 1" in shares.detail


def test_an_impossible_layout_that_fits_in_memory_keeps_its_shares_and_says_so() -> None:
    shares = split(H100, ["4g.40gb", "4g.40gb"])
    assert shares.instances == (Fraction(1, 2),) * 2
    assert "more compute slices than the GPU has" in shares.detail
    assert "more compute" not in split(H100, ["4g.40gb", "3g.40gb"]).detail
    eight = split(H100, ["1g.10gb"] * 8)
    assert sum(eight.instances) == 1


spellings = st.sampled_from([*(model.name for model in bundled_models().all), "NVIDIA X1", ""])
known_profiles = [name for board in geometries().values() for name in board.profiles]
profiles = st.one_of(st.sampled_from(known_profiles), st.text(max_size=8))


@given(spellings, st.lists(profiles, max_size=16))
def test_the_shares_of_any_layout_sum_to_exactly_1(model: str, layout: list[str]) -> None:
    shares = split(model, layout)
    assert sum(shares.instances) + shares.free + shares.stranded == 1
    assert len(shares.instances) == len(layout)
    assert all(share > 0 for share in shares.instances)
    assert shares.free >= 0
    assert shares.stranded >= 0


@given(st.sampled_from(sorted(geometries())), st.data())
def test_what_is_free_can_be_taken_and_what_is_stranded_cannot(table: str, data: st.DataObject) -> None:
    board = geometries()[table]
    model = next(model.name for model in bundled_models().all if model.mig_table == table)
    layout: list[str] = []
    for _ in range(data.draw(st.integers(0, 7))):
        shares = split(model, layout)
        fitting = [
            name
            for name, profile in board.profiles.items()
            if layout.count(name) < profile.most
            and sum(board.profiles[n].memory for n in layout) + profile.memory <= board.memory
            and sum(board.profiles[n].compute for n in layout) + profile.compute <= board.compute
        ]
        assert bool(fitting) == (shares.free > 0)
        if not fitting:
            return
        layout.append(data.draw(st.sampled_from(fitting)))
        assert split(model, layout).stranded >= shares.stranded


@given(spellings, st.lists(profiles, max_size=8))
def test_the_order_of_instances_does_not_matter(model: str, layout: list[str]) -> None:
    shares, backwards = split(model, layout), split(model, layout[::-1])
    assert shares.instances == backwards.instances[::-1]
    assert (shares.free, shares.stranded) == (backwards.free, backwards.stranded)


def test_the_rest_of_a_mig_gpu_is_leaves_held_by_nobody() -> None:
    leaves = with_rest("n1", mig_gpu("3g.40gb", "2g.20gb", "1g.10gb"))
    assert [leaf.device.kind for leaf in leaves] == [LeafKind.INSTANCE] * 3 + [LeafKind.FREE]
    rest = leaves[-1]
    assert rest.device.key == ("n1", "GPU-1", "free")
    assert (rest.device.gpu, rest.device.model) == ("0", H100)
    assert rest.allocations == ()
    assert rest.fault is None
    assert [leaf.share_of_gpu for leaf in leaves] == [4 * EIGHTH, 2 * EIGHTH, EIGHTH, EIGHTH]
    assert leaves[0].allocations == (Allocation(Holder("a", "b", "c")),)


def test_a_stranded_rest_has_its_own_leaf_and_the_gpus_fault() -> None:
    leaves = with_rest("n1", mig_gpu(*["1g.10gb"] * 7, fault=Fault.LOST))
    assert leaves[-1].device.kind is LeafKind.STRANDED
    assert leaves[-1].device.gi == "stranded"
    assert leaves[-1].fault is Fault.LOST
    assert sum(leaf.share_of_gpu for leaf in leaves) == 1


def test_a_full_gpu_has_no_rest_and_one_without_instances_is_all_free() -> None:
    assert len(with_rest("n1", mig_gpu("4g.40gb", "3g.40gb"))) == 2
    (free,) = with_rest("n1", mig_gpu())
    assert free.device.key == ("n1", "GPU-1", "free")
    assert free.share_of_gpu == 1


def test_a_gpu_that_is_not_cut_keeps_its_one_leaf() -> None:
    leaf = Leaf(device=Device(node="n1", uuid="GPU-1"))
    whole = AttributedGpu(reading=GpuReading(uuid="GPU-1"), fault=None, leaves=(leaf,))
    assert with_rest("n1", whole) == (leaf,)


def test_leaves_sum_to_their_gpus_price_to_the_micro_unit() -> None:
    leaves = with_rest("n1", mig_gpu("1g.10gb", "2g.20gb"))
    rates = leaf_rates(leaves, 6_880_001, RATE)
    assert [rate.micro_per_hour for rate in rates] == [860_000, 1_720_000, 4_300_001]
    assert all(rate.detail == "a row" for rate in rates)


@given(st.integers(0, 10**9), spellings, st.lists(profiles, max_size=10))
def test_leaf_rates_of_any_layout_sum_exactly(micro: int, model: str, layout: list[str]) -> None:
    rates = leaf_rates(with_rest("n1", mig_gpu(*layout, model=model)), micro, RATE)
    assert sum(rate.micro_per_hour for rate in rates) == micro
    assert all(rate.micro_per_hour >= 0 for rate in rates)


@given(st.integers(0, 10**9))
def test_a_layout_of_four_and_three_is_never_billed_above_its_gpu(micro: int) -> None:
    """The larger of memory and compute share would bill 7.1 % too much here."""
    rates = leaf_rates(with_rest("n1", mig_gpu("4g.40gb", "3g.40gb")), micro, RATE)
    assert sum(rate.micro_per_hour for rate in rates) == micro
