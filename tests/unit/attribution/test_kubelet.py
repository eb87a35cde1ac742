"""The kubelet's ids on the devices that were read: who holds which share, and what is not known."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusteward.attribution import with_holders
from gpusteward.kube.podresources.answers import GpuResources, devices
from gpusteward.model import (
    Allocation,
    AttributionError,
    GpuReading,
    HeldDevice,
    Holder,
    Holdings,
    InstanceReading,
    KubeletDevices,
    NodeReadings,
    Readings,
)
from tests.fake_kubelet import recorded_allocatable, recorded_list
from tests.leaves import OTHER_POD, POD, T0, held

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


def uuid(number: int, kind: str = "GPU") -> str:
    return f"{kind}-01000100-0000-0000-0000-{number:012d}"


def whole(number: int, allocations: tuple[Allocation, ...] | None = None, device: str = "") -> GpuReading:
    return GpuReading(uuid=uuid(number), gpu=str(number), allocations=allocations, device=device)


def divided(number: int, *instances: InstanceReading) -> GpuReading:
    return GpuReading(uuid=uuid(number), gpu=str(number), mig=True, instances=instances)


def told(
    gpus: Sequence[GpuReading],
    holders: Sequence[tuple[str, Holder]] = (),
    advertised: Collection[str] | None = (),
    *,
    claimed: bool = False,
) -> tuple[tuple[GpuReading, ...], dict[AttributionError, int]]:
    """GPUs as the kubelet's answer leaves them, and what could not be attributed."""
    answer = KubeletDevices(
        at=T0,
        held=tuple(HeldDevice(device_id, holder) for device_id, holder in holders),
        advertised=None if advertised is None else frozenset(advertised),
        claimed=claimed,
    )
    node = NodeReadings(node="n1", gpus=tuple(gpus))
    got = with_holders(Readings(at=T0, source="nvml", nodes=(node,), holdings=Holdings(devices=answer)))
    return got.readings.nodes[0].gpus, dict(got.errors)


def shares(allocations: tuple[Allocation, ...] | None) -> dict[Holder, Fraction | int] | None:
    return None if allocations is None else {one.holder: one.share for one in allocations}


def seats(device: str, count: int) -> list[str]:
    return [f"{device}::{number}" for number in range(count)]


# --- whole GPUs ---------------------------------------------------------------------------------------------


def test_a_gpu_is_its_pods_and_another_nobodys() -> None:
    (mine, free), errors = told([whole(0), whole(1)], [(uuid(0), POD)], [uuid(0), uuid(1)])
    assert shares(mine.allocations) == {POD: 1}
    assert free.allocations == ()
    assert errors == {}


def test_the_kubelets_word_replaces_the_sources() -> None:
    (mine, free), _ = told([whole(0, (held(OTHER_POD),)), whole(1, (held(OTHER_POD),))], [(uuid(0), POD)])
    assert shares(mine.allocations) == {POD: 1}
    assert free.allocations == ()


def test_a_pod_that_ended_and_its_successor_share_what_both_are_said_to_have() -> None:
    (both,), _ = told([whole(0)], [(uuid(0), POD), (uuid(0), OTHER_POD)])
    assert shares(both.allocations) == {POD: Fraction(1, 2), OTHER_POD: Fraction(1, 2)}


def test_gke_names_the_device_file_which_wins_over_the_index() -> None:
    gpus = [whole(0, device="nvidia1"), whole(1, device="nvidia0"), whole(2)]
    (zero, one, two), errors = told(gpus, [("nvidia0", POD), ("nvidia2", OTHER_POD)])
    assert zero.allocations == ()
    assert shares(one.allocations) == {POD: 1}
    assert shares(two.allocations) == {OTHER_POD: 1}, "where the source names no file, its index does"
    assert errors == {}


def test_a_gpu_of_no_index_has_no_device_file_to_be_guessed() -> None:
    (gpu,), errors = told([GpuReading(uuid=uuid(0))], [("nvidia0", POD)], [uuid(0)])
    assert gpu.allocations == ()
    assert errors == {AttributionError.DEVICE_NOT_SEEN: 1}


# --- shared GPUs --------------------------------------------------------------------------------------------


def test_a_seat_is_one_part_of_as_many_as_are_advertised() -> None:
    ids = [(f"{uuid(0)}::0", POD), (f"{uuid(0)}::3", OTHER_POD), (f"{uuid(0)}::1", POD)]
    (gpu,), errors = told([whole(0)], ids, seats(uuid(0), 10))
    assert shares(gpu.allocations) == {POD: Fraction(2, 10), OTHER_POD: Fraction(1, 10)}
    assert errors == {}


def test_the_recorded_seats_of_a_real_kubelet_are_quarters() -> None:
    answer = devices(
        recorded_list("40-timeslicing"), recorded_allocatable("40-timeslicing"), GpuResources(), T0
    )
    gpus, errors = told(
        [whole(number) for number in range(8)],
        [(one.device_id, one.holder) for one in answer.held],
        answer.advertised,
    )
    assert [shares(gpu.allocations) for gpu in gpus] == [
        {Holder("ml", "40-timeslicing", "main"): Fraction(1, 4)}
        if number in {1, 2}
        else {Holder("ml", "40-timeslicing-b", "main"): Fraction(1, 4)}
        if number == 7
        else {}
        for number in range(8)
    ]
    assert errors == {}


def test_gkes_seats_are_seats_too() -> None:
    ids = ["nvidia0/vgpu0", "nvidia0/vgpu1", "nvidia0/vgpu2", "nvidia0/vgpu3"]
    (gpu,), _ = told([whole(0)], [("nvidia0/vgpu1", POD)], ids)
    assert shares(gpu.allocations) == {POD: Fraction(1, 4)}


@pytest.mark.parametrize("advertised", [None, [], [uuid(0)], seats(uuid(1), 4)])
def test_a_seat_of_who_knows_how_many_is_an_unknown_share(advertised: list[str] | None) -> None:
    (gpu,), errors = told([whole(0)], [(f"{uuid(0)}::0", POD)], advertised)
    assert gpu.allocations is None
    assert errors == {AttributionError.SEATS_UNKNOWN: 1}


def test_a_held_seat_that_is_not_advertised_any_more_is_a_seat_still() -> None:
    ids = [(f"{uuid(0)}::{number}", Holder("ml", f"p{number}")) for number in range(4)]
    (gpu,), _ = told([whole(0)], ids, seats(uuid(0), 2))
    assert set((shares(gpu.allocations) or {}).values()) == {Fraction(1, 4)}


# --- MIG ----------------------------------------------------------------------------------------------------


def test_an_instance_is_found_by_its_mig_uuid() -> None:
    gpu = divided(
        0,
        InstanceReading(gi="2", mig_uuid=uuid(2, "MIG")),
        InstanceReading(gi="9", mig_uuid=uuid(9, "MIG")),
    )
    (got,), errors = told([gpu], [(uuid(9, "MIG"), POD)], [uuid(2, "MIG"), uuid(9, "MIG")])
    assert [shares(one.allocations) for one in got.instances] == [{}, {POD: 1}]
    assert errors == {}


@pytest.mark.parametrize("device_id", ["nvidia0/gi9", f"MIG-{uuid(0)}/9/0"])
@pytest.mark.parametrize("mig_uuid", ["", uuid(9, "MIG"), f"MIG-{uuid(0)}/9/0"])
def test_an_instance_is_found_by_its_gpu_and_number(device_id: str, mig_uuid: str) -> None:
    gpu = divided(0, InstanceReading(gi="2"), InstanceReading(gi="9", mig_uuid=mig_uuid))
    (got,), errors = told([gpu], [(device_id, POD)])
    assert [shares(one.allocations) for one in got.instances] == [{}, {POD: 1}]
    assert errors == {}


def test_an_instance_may_be_shared() -> None:
    gpu = divided(0, InstanceReading(gi="9", mig_uuid=uuid(9, "MIG")))
    (got,), _ = told([gpu], [(f"{uuid(9, 'MIG')}::1", POD)], seats(uuid(9, "MIG"), 2))
    assert shares(got.instances[0].allocations) == {POD: Fraction(1, 2)}


def test_a_page_without_mig_uuids_keeps_its_own_word_where_the_kubelet_names_nothing_else() -> None:
    gpu = divided(0, InstanceReading(gi="2", allocations=(held(),)), InstanceReading(gi="9"))
    (got,), errors = told([gpu], [(uuid(2, "MIG"), OTHER_POD)])
    assert [shares(one.allocations) for one in got.instances] == [{POD: 1}, None]
    assert errors == {}, "its page may tell what that id means"


def test_a_layout_changed_under_a_pod_leaves_an_id_that_is_not_seen() -> None:
    gpu = divided(0, InstanceReading(gi="1", mig_uuid=uuid(1, "MIG")))
    (got,), errors = told([gpu], [(uuid(9, "MIG"), POD)], [uuid(1, "MIG")])
    assert got.instances[0].allocations == ()
    assert errors == {AttributionError.DEVICE_NOT_SEEN: 1}


def test_of_a_gpu_held_as_a_whole_and_divided_since_no_instance_is_known_to_be_free() -> None:
    gpu = divided(0, InstanceReading(gi="1", allocations=()), InstanceReading(gi="2", allocations=()))
    (got,), errors = told([gpu], [(uuid(0), POD)])
    assert [one.allocations for one in got.instances] == [None, None]
    assert errors == {}


# --- what is not known --------------------------------------------------------------------------------------


def test_while_the_kubelet_is_not_known_no_holder_is_and_nobody_is_not_meant() -> None:
    node = NodeReadings(
        node="n1", gpus=(whole(0, (held(),)), divided(1, InstanceReading(gi="1", allocations=())))
    )
    readings = Readings(at=T0, source="dcgm", nodes=(node,), holdings=Holdings(devices=None))
    (got,) = with_holders(readings).readings.nodes
    assert got.gpus[0].allocations is None
    assert got.gpus[1].instances[0].allocations is None


@pytest.mark.parametrize("holdings", [None, Holdings(devices=None, absent=True)])
def test_where_no_kubelet_is_asked_or_was_ever_there_the_sources_word_stands(
    holdings: Holdings | None,
) -> None:
    node = NodeReadings(node="n1", gpus=(whole(0, (held(),)),))
    readings = Readings(at=T0, source="dcgm", nodes=(node,), holdings=holdings)
    assert with_holders(readings).readings == readings


def test_an_id_that_nobody_can_read_leaves_no_gpu_known_to_be_free() -> None:
    (mine, other), errors = told([whole(0), whole(1)], [(uuid(0), POD), ("gpu:0", OTHER_POD)])
    assert shares(mine.allocations) == {POD: 1}
    assert other.allocations is None
    assert errors == {AttributionError.DEVICE_ID_UNREADABLE: 1}


def test_a_claim_that_is_not_read_leaves_no_gpu_known_to_be_free() -> None:
    (mine, other), errors = told([whole(0), whole(1)], [(uuid(0), POD)], claimed=True)
    assert shares(mine.allocations) == {POD: 1}
    assert other.allocations is None
    assert errors == {AttributionError.CLAIMS_NOT_READ: 1}


@pytest.mark.parametrize("device_known", [True, False])
def test_on_a_page_of_several_nodes_the_kubelet_speaks_for_its_own(device_known: bool) -> None:
    answer = KubeletDevices(at=T0, held=(HeldDevice(uuid(0), POD),)) if device_known else None
    nodes = tuple(
        NodeReadings(node=name, gpus=(whole(number, (held(OTHER_POD),)),))
        for number, name in enumerate(("n1", "n2"))
    )
    readings = Readings(at=T0, source="dcgm", nodes=nodes, holdings=Holdings(node="n1", devices=answer))
    own, other = with_holders(readings).readings.nodes
    assert shares(own.gpus[0].allocations) == ({POD: 1} if device_known else None)
    assert other == nodes[1]


def test_a_kubelet_of_no_node_on_the_page_changes_nothing_and_misses_nothing() -> None:
    answer = KubeletDevices(at=T0, held=(HeldDevice(uuid(7), POD),))
    nodes = tuple(NodeReadings(node=name, gpus=(whole(0),)) for name in ("n1", "n2"))
    readings = Readings(at=T0, source="dcgm", nodes=nodes, holdings=Holdings(node="n3", devices=answer))
    got = with_holders(readings)
    assert got.readings == readings
    assert got.errors == {}


def test_a_source_that_reads_another_kubelets_node_is_told_nothing() -> None:
    (gpu,), errors = told([whole(0, (held(),))], [], [uuid(7), uuid(8)])
    assert gpu.allocations is None
    assert errors == {AttributionError.DEVICE_NOT_SEEN: 2}


def test_a_gpu_that_is_not_on_offer_beside_one_that_is_is_nobodys() -> None:
    gpus, errors = told([whole(0), whole(1)], [], [uuid(0)])
    assert [gpu.allocations for gpu in gpus] == [(), ()]
    assert errors == {}


# --- always -------------------------------------------------------------------------------------------------

HOLDERS = st.builds(Holder, st.sampled_from(["a", "b"]), st.sampled_from(["p", "q", "r"]))
SEATED = st.builds("{}::{}".format, st.sampled_from([uuid(0), uuid(1)]), st.integers(0, 60))
IDS = SEATED | st.sampled_from([uuid(0), uuid(1), "nvidia0", "nvidia1/vgpu3", uuid(4, "MIG"), "?"])


@given(
    st.lists(st.tuples(IDS, HOLDERS), max_size=60),
    st.none() | st.lists(IDS, max_size=60),
    st.booleans(),
)
def test_shares_of_a_device_and_what_is_unheld_sum_to_one(
    holders: list[tuple[str, Holder]], advertised: list[str] | None, claimed: bool
) -> None:
    gpus = [whole(0), whole(1), divided(2, InstanceReading(gi="4", mig_uuid=uuid(4, "MIG")))]
    got, _ = told(gpus, holders, advertised, claimed=claimed)
    for allocations in (got[0].allocations, got[1].allocations, got[2].instances[0].allocations):
        taken = [one.share for one in allocations or ()]
        assert all(share > 0 for share in taken)
        assert sum(taken) <= 1
        assert len({one.holder for one in allocations or ()}) == len(taken)
