"""The short form of `python -m tests.soak pipeline`: two hours of churn and trouble in a few seconds.

The audit beside the loop checks every snapshot and page; the near misses show that it would notice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gpusteward.config import Config
from tests.soak.audit import check_holders, series_of
from tests.soak.pipeline import Soak, check_bounded

if TYPE_CHECKING:
    from tests.soak.pipeline import Outcome

HOUR = 3600.0
PAGE = """# HELP gpusteward_gpu_cost_total Money.
gpusteward_gpu_cost_total{pod="ended",uuid="GPU-0"} 1.5
gpusteward_gpu_cost_total{pod="",uuid="GPU-0"} 9.0
gpusteward_gpu_cost_per_hour{pod="there",uuid="GPU-0"} 6.88
"""


def nothing(_line: str) -> None:
    """Where progress goes."""


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    """Two simulated hours.

    The run itself asserts conservation to the micro-unit, counters that never go down, no series twice, and
    that holders who ended are gone from gauges at once and from counters after 10 min.
    """
    return Soak(interval_seconds=15, page_seconds=60, config=Config()).run(2 * HOUR, nothing)


def test_two_hours_of_churn_and_trouble_pass_the_audit(outcome: Outcome) -> None:
    assert outcome.pods == 1064
    assert outcome.failures == {"timeout": 16, "refused": 4, "bug": 2}
    assert outcome.cycles == 457
    every_cause_of_the_profile = {"not_running", "used", "headroom", "idle", "unhealthy", "unmeasured"}
    assert every_cause_of_the_profile <= outcome.causes


def test_the_second_hour_needs_no_more_series_than_the_first(outcome: Outcome) -> None:
    first, second, *_ = outcome.most_series
    assert second <= 1.02 * first
    check_bounded(outcome.most_series)


def test_series_that_grow_hour_by_hour_would_be_noticed() -> None:
    check_bounded((2700, 3000, 3050))
    with pytest.raises(AssertionError, match="grow from hour to hour"):
        check_bounded((2700, 3000, 3100))


def test_counters_that_stay_longer_than_ten_minutes_would_be_noticed() -> None:
    config = Config.model_validate({"metrics": {"ended_holder_seconds": 700}})
    with pytest.raises(AssertionError, match="pods that ended more than 600 s ago"):
        Soak(interval_seconds=15, page_seconds=15, config=config).run(HOUR / 2, nothing)


def test_counters_stay_ten_minutes_for_rate_to_see_their_last_value() -> None:
    config = Config()
    with pytest.raises(AssertionError, match="pods that ended more than 570 s ago"):
        Soak(interval_seconds=15, page_seconds=15, config=config, kept_seconds=570).run(HOUR / 2, nothing)


def test_the_audit_of_holders_tells_who_ended_just_in_time_from_who_did_not() -> None:
    series = series_of(PAGE)
    check_holders(series, {"ended": 600.0, "there": 0.0}, gauges=0.0, counters=600.0)
    with pytest.raises(AssertionError, match="cost_total of pods that ended more than 600 s ago"):
        check_holders(series, {"ended": 600.1, "there": 0.0}, gauges=0.0, counters=600.0)
    with pytest.raises(AssertionError, match="cost_per_hour of pods that ended more than 0 s ago"):
        check_holders(series, {"ended": 0.0, "there": 5.0}, gauges=0.0, counters=600.0)


def test_a_series_that_stands_twice_would_be_noticed() -> None:
    with pytest.raises(AssertionError, match="twice"):
        series_of(PAGE + 'gpusteward_gpu_cost_total{pod="",uuid="GPU-0"} 9.5\n')


def test_the_same_two_hours_come_to_the_same_books() -> None:
    one, other = (Soak(interval_seconds=30, page_seconds=600, config=Config()) for _ in range(2))
    assert one.run(HOUR, nothing) == other.run(HOUR, nothing)
    assert one.books.micro == other.books.micro > 0
