"""The short form of `python -m tests.soak nvml_faults`: every way to break, a few times over."""

from __future__ import annotations

from tests.soak.nvml_faults import run


def test_after_forty_faults_all_is_well_and_nothing_has_grown() -> None:
    """The run itself asserts that descriptors, children, samples and event sets do not grow."""
    lines: list[str] = []
    outcome = run(40, lines.append)
    assert outcome.seen == {
        "lost": 8,
        "reset_required": 4,
        "harmless": 12,
        "worker_died": 4,
        "unknown_error": 4,
        "driver_mismatch": 4,
        "timeout": 1,
        "not_responding": 3,
    }
    assert outcome.workers == 17, "the first, and one after each fault that costs a worker"
