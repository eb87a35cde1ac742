"""Who is left out, until when, and who is where."""

from __future__ import annotations

import msgspec
import pytest

from gpusteward.devices.nvml.frames import NO_ANSWER, Gpu, Sample
from gpusteward.devices.nvml.suspects import SETTLED_CYCLES, BackOff, Suspects


def gpu(index: int, bus: str, *, code: int = 0) -> Gpu:
    return Gpu(
        index, f"GPU-{bus}", "T4", bus, code, mig=False, signals={}, instances=[], processes=None, xids=[]
    )


def sample(*gpus: Gpu, total: int) -> Sample:
    return Sample("580", total, list(gpus), [])


def told(completed: Sample) -> list[tuple[int, str, int]]:
    return [(each.index, each.bus_id, each.code) for each in completed.gpus]


@pytest.mark.parametrize(("good", "left"), [(0, 4.0), (SETTLED_CYCLES - 1, 4.0), (SETTLED_CYCLES, 1.0)])
def test_a_failure_is_forgotten_after_some_good_cycles_in_a_row(good: int, left: float) -> None:
    back_off = BackOff()
    back_off.failed(0.0)
    back_off.failed(10.0)
    for _ in range(good):
        back_off.well()
    back_off.failed(20.0)
    assert back_off.left(20.0) == left


def test_good_cycles_that_are_not_in_a_row_do_not_count() -> None:
    back_off = BackOff()
    for _ in range(3):
        back_off.failed(0.0)
        for _ in range(SETTLED_CYCLES - 1):
            assert not back_off.well()
    assert back_off.left(0.0) == 4.0


def test_one_that_was_never_blamed_is_not_left_out_and_none_is_due() -> None:
    suspects = Suspects()
    assert told(suspects.completed(sample(gpu(0, "a"), gpu(1, "b"), total=2))) == [(0, "a", 0), (1, "b", 0)]
    assert suspects.out() == set()
    assert suspects.due(1e9) is None


def test_the_one_that_waits_longest_is_due_first_and_only_when_its_time_has_come() -> None:
    suspects = Suspects()
    suspects.blame(3, 0.0)
    suspects.blame(1, 0.5)
    assert [suspects.due(at) for at in (0.9, 1.0, 9.0)] == [None, 3, 3]
    suspects.blame(3, 9.0)
    assert suspects.due(9.0) == 1


def test_a_suspect_that_answers_is_read_again_and_its_next_hang_is_waited_for_longer() -> None:
    suspects = Suspects()
    suspects.blame(0, 0.0)
    suspects.completed(sample(gpu(0, "a"), total=1))
    assert suspects.out() == set()
    suspects.blame(0, 5.0)
    assert (suspects.due(6.9), suspects.due(7.0)) == (None, 0)
    for _ in range(SETTLED_CYCLES):
        suspects.completed(sample(gpu(0, "a"), total=1))
    suspects.blame(0, 20.0)
    assert suspects.due(21.0) == 0


def test_those_that_are_missing_keep_who_they_are() -> None:
    suspects = Suspects()
    suspects.completed(sample(gpu(0, "a"), gpu(1, "b"), gpu(2, "c"), total=3))
    suspects.blame(1, 0.0)
    part = sample(gpu(0, "a"), total=3)
    assert suspects.suffices(part)
    assert told(suspects.completed(part)) == [(0, "a", 0), (1, "b", NO_ANSWER), (2, "c", 0)]


def test_a_part_is_no_sample_while_one_that_is_not_suspected_is_unknown() -> None:
    suspects = Suspects()
    suspects.blame(1, 0.0)
    assert not suspects.suffices(sample(gpu(0, "a"), total=3))
    assert suspects.suffices(sample(gpu(0, "a"), total=2))


def test_a_part_in_which_no_gpu_could_be_read_is_no_sample() -> None:
    suspects = Suspects()
    suspects.blame(1, 0.0)
    assert not suspects.suffices(sample(gpu(0, "a", code=15), total=2))
    assert not suspects.suffices(sample(total=2))


def test_when_gpus_are_numbered_anew_nobody_is_suspected_by_an_old_number() -> None:
    """GPU 1 hung and was taken out: 1 is now what was 2."""
    for total, seen in ((2, [gpu(0, "a")]), (3, [gpu(0, "a"), gpu(2, "b")])):
        suspects = Suspects()
        suspects.completed(sample(gpu(0, "a"), gpu(1, "b"), gpu(2, "c"), total=3))
        suspects.blame(1, 0.0)
        completed = suspects.completed(sample(*seen, total=total))
        assert suspects.out() == set()
        assert len({each.bus_id for each in completed.gpus}) == total


def test_what_was_measured_is_not_kept() -> None:
    suspects = Suspects()
    full = msgspec.structs.replace(gpu(0, "a"), xids=[79])
    suspects.completed(sample(full, gpu(1, "b"), total=2))
    suspects.blame(0, 0.0)
    assert suspects.completed(sample(gpu(1, "b"), total=2)).gpus[0].xids is None
