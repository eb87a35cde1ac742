"""Frames: what is said arrives as it was said, and what is no frame is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusteward.devices.nvml import frames
from gpusteward.model import Signal

PROCESSES = st.none() | st.lists(
    st.builds(frames.RunningProcess, st.integers(1, 2**22), st.none() | st.integers(0, 2**40)), max_size=3
)
SIGNALS = st.dictionaries(
    st.sampled_from(Signal), st.floats(allow_nan=False, allow_infinity=False), max_size=5
)
INSTANCES = st.builds(frames.Instance, st.integers(0, 20), st.text(), st.text(), SIGNALS, PROCESSES)
GPUS = st.builds(
    frames.Gpu,
    index=st.integers(0, 15),
    uuid=st.text(),
    model=st.text(),
    bus_id=st.text(),
    code=st.integers(frames.NO_ANSWER, 999),
    mig=st.booleans(),
    signals=SIGNALS,
    instances=st.lists(INSTANCES, max_size=2),
    processes=PROCESSES,
    xids=st.none() | st.lists(st.integers(1, 200), max_size=3),
)
ERRORS = st.lists(st.tuples(st.text(), st.text(), st.integers(1, 9)), max_size=2)
ANSWERS = st.one_of(
    st.builds(frames.Happened, st.dictionaries(st.text(), st.lists(st.integers(1, 200)), max_size=3)),
    st.builds(frames.Began, st.text(), st.integers(0, 16)),
    st.builds(frames.Turn, st.integers(0, 15), st.booleans()),
    st.builds(frames.Read, GPUS),
    st.builds(frames.Done, ERRORS),
    st.builds(frames.Gone, st.text(), st.text()),
)
INDICES = st.lists(st.integers(0, 15), max_size=3)


@given(ANSWERS)
def test_an_answer_arrives_as_it_was_given(answer: frames.Answer) -> None:
    sent = frames.packed(answer)
    body = sent[frames.LENGTH.size :]
    assert frames.length(sent[: frames.LENGTH.size]) == len(body)
    assert frames.answer_of(body) == answer


@given(st.builds(frames.Ask, st.floats(allow_nan=False), INDICES, INDICES))
def test_a_question_arrives_as_it_was_asked(question: frames.Ask) -> None:
    assert frames.ask_of(frames.packed(question)[frames.LENGTH.size :]) == question


@given(st.binary(max_size=64))
def test_bytes_that_are_no_frame_are_refused_and_never_raise_anything_else(body: bytes) -> None:
    refused = 0
    for read in (frames.ask_of, frames.answer_of):
        try:
            read(body)
        except frames.FrameError:
            refused += 1
    assert refused >= 1, "no body is both a question and an answer"


def test_the_greatest_frame_is_accepted_and_one_byte_more_is_not() -> None:
    assert frames.length(frames.LENGTH.pack(frames.MOST_BYTES)) == frames.MOST_BYTES
    with pytest.raises(frames.FrameError, match="is longer than"):
        frames.length(frames.LENGTH.pack(frames.MOST_BYTES + 1))


def test_a_signal_that_is_not_ours_is_no_answer() -> None:
    gpu = frames.Gpu(0, "", "", "", 0, mig=False, signals={}, instances=[], processes=None, xids=None)
    body = frames.packed(frames.Read(gpu))[frames.LENGTH.size :]
    assert frames.answer_of(body) == frames.Read(gpu)
    with pytest.raises(frames.FrameError):
        frames.answer_of(body.replace(b"\x80\x90", b"\x81\xa1x\x01\x90"))
