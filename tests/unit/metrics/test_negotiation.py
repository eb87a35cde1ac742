"""Accept and Accept-Encoding, as scrapers, browsers and the careless send them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpusteward.metrics.negotiation import Format, accepts_gzip, choose, ranked

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
TEXT_1 = "text/plain; version=1.0.0; charset=utf-8"
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", TEXT),
        ("application/json", TEXT),
        ("text/plain", TEXT),
        ("text/plain;version=0.0.4", TEXT),
        ("text/plain;version=1.0.0", TEXT_1 + "; escaping=underscores"),
        ("text/plain;version=1.0.0;escaping=values", TEXT_1 + "; escaping=values"),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text;version=0.0.1", TEXT),
        (PROMETHEUS_2, OPENMETRICS + "; escaping=underscores"),
        (PROMETHEUS_3, OPENMETRICS + "; escaping=allow-utf-8"),
        # dots would rename every metric; the protocol lets the server answer with another scheme
        ("application/openmetrics-text;version=1.0.0;escaping=dots", OPENMETRICS + "; escaping=underscores"),
        # a version from the future is answered with the one there is
        ("application/openmetrics-text;version=9.1.0", OPENMETRICS + "; escaping=underscores"),
        ("text/plain;version=9.1.0", TEXT_1 + "; escaping=underscores"),
        # the order of preference is the q-values', not the line's
        (
            "text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0",
            OPENMETRICS + "; escaping=underscores",
        ),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4", TEXT),
        ("application/openmetrics-text;version=1.0.0;q=0", TEXT),
        ("application/openmetrics-text;version=1.0.0;q=banana", TEXT),
        # what is no version must not break anything
        ("application/openmetrics-text;version=banana", TEXT),
        ("text/plain;version=x.y", TEXT),
        (",;,;q=,", TEXT),
    ],
)
def test_a_client_is_answered_in_the_best_format_it_accepts(accept: str, content_type: str) -> None:
    assert choose(accept).content_type == content_type


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("deflate", False),
        ("gzip;q=0", False),
        ("gzip;q=0.001", True),
        ("gzip;q=1.5", False),
        ("gzip;q=banana", False),
        ("*", True),
        ("*;q=0", False),
        ("*;q=1, gzip;q=0", False),
        ("identity;q=0, gzip;q=0.1", True),
        ("identity, gzip;q=0.5", False),
        ("identity;q=0.5, gzip;q=0.5", True),
        ("gzip;foo=bar;q=0.3", True),
        ("br, gzip", True),
        ("gzip, gzip;q=0", True),
    ],
)
def test_gzip_is_answered_when_accepted_and_not_liked_less(accept_encoding: str, expected: object) -> None:
    assert accepts_gzip(accept_encoding) is expected


def test_ranking_is_stable_and_leaves_out_what_is_refused() -> None:
    assert ranked("a;q=0.5, b, c;q=0, d, e;q=0.5") == ["b", "d", "a;q=0.5", "e;q=0.5"]


@settings(deadline=None)
@given(st.text())
def test_any_header_gets_some_format(header: str) -> None:
    assert choose(header).format in set(Format)
    assert accepts_gzip(header) in {True, False}


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["text/plain", "application/openmetrics-text", ";", "version=", "1.0.0", "0.x", "q=", ","]
        )
    )
)
def test_any_mixture_of_the_words_gets_some_format(words: list[str]) -> None:
    choice = choose("".join(words))
    assert choice.content_type.startswith(choice.format)
