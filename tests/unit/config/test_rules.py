from __future__ import annotations

import pytest

from gpusteward.config import parse, warnings
from gpusteward.errors import ConfigError


def refused(text: str) -> str:
    """The only problem of a text; empty when it is accepted."""
    try:
        parse(text, "f.yaml")
    except ConfigError as error:
        (problem,) = error.problems
        return str(problem)
    return ""


def warned(text: str) -> list[str]:
    return [warning.path for warning in warnings(parse(text, "f.yaml"))]


@pytest.mark.parametrize(
    ("interval", "timeout", "source", "accepted"),
    [
        ("5", "4.5", "auto", True),
        ("5", "4.51", "auto", False),
        ("5", "4.51", "dcgm", False),
        ("5", "60", "nvml", True),
        ("5", "60", "simulated", True),
    ],
)
def test_a_read_may_take_nine_tenths_of_the_interval_where_dcgm_may_be_read(
    interval: str, timeout: str, source: str, *, accepted: bool
) -> None:
    text = f"agent: {{interval_seconds: {interval}, source: {source}}}\n"
    text += f"sources: {{dcgm: {{timeout_seconds: {timeout}}}}}"
    assert (refused(text) == "") is accepted


@pytest.mark.parametrize("interval", [1, 2, 300])
def test_a_deadline_that_nobody_wrote_follows_the_interval(interval: int) -> None:
    config = parse(
        f"agent: {{interval_seconds: {interval}}}\nsources: {{dcgm: {{max_bytes: 2048}}}}", "f.yaml"
    )
    assert config.dcgm.timeout_seconds == pytest.approx(0.8 * interval)
    assert config.dcgm.max_bytes == 2048


def test_a_deadline_that_was_written_stays() -> None:
    assert parse("sources: {dcgm: {timeout_seconds: 1.5}}", "f.yaml").dcgm.timeout_seconds == 1.5


@pytest.mark.parametrize(
    "url", ["http://h:9400/metrics", "https://h", "http://u:p@h:1/m", "http://[::1]:9400/m"]
)
def test_an_http_address_is_accepted(url: str) -> None:
    assert refused(f'sources: {{dcgm: {{url: "{url}"}}}}') == ""


@pytest.mark.parametrize(
    "url",
    ["h:9400/metrics", "ftp://h/m", "http://", "http://h:x/m", "http://h:0/m", "http://[::1/m", "/metrics"],
)
def test_another_address_is_refused(url: str) -> None:
    assert "is not an HTTP address" in refused(f'sources: {{dcgm: {{url: "{url}"}}}}')


def test_a_refused_address_does_not_show_its_password() -> None:
    message = refused('sources: {dcgm: {url: "ftp://user:secret@h/m"}}')
    assert "secret" not in message
    assert "`h/m`" in message


@pytest.mark.parametrize(
    ("currency", "rate", "part"),
    [
        ("EUR", "0.92", ""),
        ("EUR", "0.0", "must be above 0"),
        ("USD", "1.00", ""),
        ("USD", "1.01", "one USD is 1.01 USD"),
    ],
)
def test_an_exchange_rate_is_positive_and_one_for_usd(currency: str, rate: str, part: str) -> None:
    message = refused(f"pricing: {{currency: {currency}, usd_exchange_rate: {rate}}}")
    assert part in message
    assert bool(part) == bool(message)


@pytest.mark.parametrize(
    ("entry", "part"),
    [
        ("node: a, node_per_hour: 8", ""),
        ("node: a, gpu_per_hour: 1", ""),
        ("model: H100, gpu_per_hour: 1", ""),
        ("node: a", "states no price (write node_per_hour or gpu_per_hour)"),
        ("model: H100", "states no price (write gpu_per_hour)"),
        ("node: a, node_per_hour: 8, gpu_per_hour: 1", "states two prices"),
        ("model: H100, node_per_hour: 8, gpu_per_hour: 1", "states two prices"),
        ("model: H100, node_per_hour: 8", "prices a GPU model by the node"),
    ],
)
def test_a_book_entry_states_one_price_of_the_right_kind(entry: str, part: str) -> None:
    message = refused(f"pricing: {{book: [{{{entry}}}]}}")
    assert part in message
    assert bool(part) == bool(message)


@pytest.mark.parametrize("name", ["idle_window_seconds", "underused_window_seconds"])
def test_a_window_holds_at_least_two_samples(name: str) -> None:
    others = (
        "agent: {interval_seconds: 60}\nunderuse: {idle_window_seconds: 120, underused_window_seconds: 120"
    )
    assert refused(f"{others}}}") == ""
    short = others.replace(f"{name}: 120", f"{name}: 119")
    assert f"{name} of at least 120" in refused(f"{short}}}")


def test_a_currency_that_nothing_is_priced_in_is_warned_of() -> None:
    assert warned("pricing: {currency: EUR}") == ["pricing.currency"]


@pytest.mark.parametrize(
    "own",
    [
        "usd_exchange_rate: 0.92",
        "book: [{node: a, gpu_per_hour: 1}]",
        "on_prem: [{capex: 1, kw: 1}]",
        "catalogue_file: eur.csv",
    ],
)
def test_a_currency_with_prices_or_a_rate_is_not_warned_of(own: str) -> None:
    assert warned(f"pricing: {{currency: EUR, {own}}}") == []


def test_a_url_beside_a_file_is_warned_of() -> None:
    assert warned("sources: {dcgm: {url: 'http://h/m', file: p}}") == ["sources.dcgm.url"]
    assert warned("sources: {dcgm: {url: 'http://h/m'}}") == []
    assert warned("sources: {dcgm: {file: p}}") == []


@pytest.mark.parametrize("entry", ["gpu_per_hour: 1", "node: '*', instance_type: '*', gpu_per_hour: 1"])
def test_entries_after_one_that_matches_every_node_are_warned_of(entry: str) -> None:
    narrow = "{node: a, gpu_per_hour: 1}"
    assert warned(f"pricing: {{book: [{narrow}, {{{entry}}}, {narrow}]}}") == ["pricing.book[1]"]
    assert warned(f"pricing: {{book: [{narrow}, {{{entry}}}]}}") == []


@pytest.mark.parametrize("said", ["node: a", "provider: aws", "instance_type: p5.*", "region: r"])
def test_an_entry_that_says_something_does_not_match_every_node(said: str) -> None:
    assert warned(f"pricing: {{book: [{{{said}, gpu_per_hour: 1}}, {{gpu_per_hour: 2}}]}}") == []


@pytest.mark.parametrize("said", ["capacity_type: spot", "model: L4"])
def test_an_entry_of_one_kind_of_capacity_or_gpu_does_not_match_every_node(said: str) -> None:
    assert warned(f"pricing: {{book: [{{{said}, gpu_per_hour: 1}}, {{gpu_per_hour: 2}}]}}") == []


def test_formulas_after_one_for_every_node_are_warned_of() -> None:
    formulas = "[{capex: 1, kw: 1}, {nodes: a, capex: 1, kw: 1}]"
    assert warned(f"pricing: {{on_prem: {formulas}}}") == ["pricing.on_prem[0]"]


def test_a_formula_without_electricity_is_warned_of() -> None:
    assert warned("pricing: {on_prem: [{capex: 1}]}") == ["pricing.on_prem[0]"]
    assert warned("pricing: {on_prem: [{capex: 1, kw: 0.1}]}") == []
    assert warned("pricing: {on_prem: [{capex: 1, measured_power: true}]}") == []


def test_an_idle_window_longer_than_the_underused_window_is_warned_of() -> None:
    assert warned("underuse: {idle_window_seconds: 1801}") == ["underuse.idle_window_seconds"]
    assert warned("underuse: {idle_window_seconds: 1800}") == []
