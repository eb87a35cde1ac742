from __future__ import annotations

from collections import Counter

import pytest

from gpusteward.metrics.xid import _CODES, XidClass, xid_class


@pytest.mark.parametrize(
    ("xid", "expected"),
    [
        (79, XidClass.REBOOT),
        (80, XidClass.APP),
        (78, XidClass.INVESTIGATE),
        (95, XidClass.RESET),
        (94, XidClass.APP),
        (63, XidClass.INFO),
        (64, XidClass.RESET),
        (48, XidClass.INVESTIGATE),
        *((xid, XidClass.APP) for xid in (13, 31, 43, 45, 68, 109)),
    ],
)
def test_an_xid_has_the_class_of_who_must_act(xid: int, expected: XidClass) -> None:
    assert xid_class(xid) is expected


@pytest.mark.parametrize("xid", [0, 999, -1])
def test_a_code_that_nobody_listed_is_investigated(xid: int) -> None:
    assert xid_class(xid) is XidClass.INVESTIGATE


def test_no_code_is_in_two_classes() -> None:
    assert max(Counter(code for codes in _CODES.values() for code in codes).values()) == 1
