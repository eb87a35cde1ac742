"""Rules between settings: what is refused, and what is allowed but probably not meant.

Each rule reads a few settings, yields what is wrong with them, and says which it read, so that it can be left
out when one of those could not be read itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from gpusteward.config.listen import parse_listen
from gpusteward.config.wording import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpusteward.config.places import Place
    from gpusteward.config.settings import BookEntry, Config

TIMEOUT_PART = 0.9
"""Greatest part of the sampling interval that a read may take: the rest is for what follows it in a cycle."""

WINDOW_SAMPLES = 2
"""Fewest samples that a window must hold: a judgement over one sample is no window."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found.

    Attributes:
        reads: the settings it read, the one most likely to be changed first.
        message: what is wrong.
        remedy: what to write.
        entry: the list entry that it is about; empty = it is about the settings that it read.
    """

    reads: tuple[Place, ...]
    message: str
    remedy: str
    entry: Place = ()

    @property
    def place(self) -> Place:
        """Where it is shown."""
        return self.entry or self.reads[0]


Findings: TypeAlias = "Iterator[Finding]"

_INTERVAL: Place = ("agent", "interval_seconds")
_DEADLINE: Place = ("sources", "nvml", "deadline_seconds")
_TIMEOUT: Place = ("sources", "dcgm", "timeout_seconds")
_RATE: Place = ("pricing", "usd_exchange_rate")
_CURRENCY: Place = ("pricing", "currency")


def _listen(config: Config) -> Findings:
    """`agent.listen` is `host:port`, `[IPv6]:port` or `:port`; the port is at most 65535."""
    try:
        parse_listen(config.agent.listen)
    except ValueError as error:
        message = f"{shown(config.agent.listen)} {error}"
        yield Finding((("agent", "listen"),), message, "write host:port, such as 0.0.0.0:9455 or [::]:9455")


def _timeout(config: Config) -> Findings:
    """A source's deadline is at most 0.9 of `agent.interval_seconds`, where that source may be read.

    These are `sources.nvml.deadline_seconds` and `sources.dcgm.timeout_seconds`.
    """
    interval = config.agent.interval_seconds
    most = TIMEOUT_PART * interval
    deadlines = (
        ("nvml", _DEADLINE, config.sources.nvml.deadline_seconds),
        ("dcgm", _TIMEOUT, config.sources.dcgm.timeout_seconds),
    )
    for source, place, seconds in deadlines:
        if config.agent.source in ("auto", source) and seconds is not None and seconds > most:
            yield Finding(
                (place, _INTERVAL, ("agent", "source")),
                f"a read may take {place[-1]} ({seconds:g}), more than {TIMEOUT_PART} of "
                f"interval_seconds ({interval:g}), so cycles would queue",
                f"write {place[-1]} of at most {most:g}, or a longer interval_seconds",
            )


def _url(config: Config) -> Findings:
    """`sources.dcgm.url` is an HTTP or HTTPS address."""
    url = config.sources.dcgm.url
    if url and not _is_http(url):
        message = f"{shown(url.rpartition('@')[2])} is not an HTTP address"
        yield Finding((("sources", "dcgm", "url"),), message, "write http://HOST:9400/metrics")


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or half a bracket
        return False


def _exchange_rate(config: Config) -> Findings:
    """`pricing.usd_exchange_rate` is above 0, and 1 where `pricing.currency` is USD."""
    rate = config.pricing.usd_exchange_rate
    if rate is None:
        return
    if Decimal(rate) == 0:
        yield Finding((_RATE,), "must be above 0", "write how much of pricing.currency one USD buys")
    elif config.pricing.currency == "USD" and Decimal(rate) != 1:
        message = f"says that one USD is {rate} USD"
        yield Finding((_RATE, _CURRENCY), message, "set pricing.currency too, or leave the rate out")


def _book(config: Config) -> Findings:
    """Each entry of `pricing.book` states `node_per_hour` or `gpu_per_hour`; with `model` the latter."""
    for index, entry in enumerate(config.pricing.book):
        place: Place = ("pricing", "book", index)
        reads = tuple((*place, name) for name in ("node_per_hour", "gpu_per_hour", "model"))
        if entry.node_per_hour is None and entry.gpu_per_hour is None:
            wanted = "gpu_per_hour" if entry.model else "node_per_hour or gpu_per_hour"
            yield Finding(reads, "states no price", f"write {wanted}", place)
        elif entry.node_per_hour is not None and entry.gpu_per_hour is not None:
            yield Finding(reads, "states two prices", "keep node_per_hour or gpu_per_hour, not both", place)
        elif entry.model and entry.gpu_per_hour is None:
            message = "prices a GPU model by the node, which may hold several models"
            yield Finding(reads, message, "write gpu_per_hour, or replace model by instance_type", place)


def _windows(config: Config) -> Findings:
    """Each window of `underuse` holds at least 2 samples of `agent.interval_seconds`."""
    least = WINDOW_SAMPLES * config.agent.interval_seconds
    for name in ("idle_window_seconds", "underused_window_seconds"):
        window: float = getattr(config.underuse, name)
        if window < least:
            yield Finding(
                (("underuse", name), _INTERVAL),
                f"{name} ({window:g}) holds fewer than {WINDOW_SAMPLES} samples at interval_seconds "
                f"({config.agent.interval_seconds:g})",
                f"write {name} of at least {least:g}",
            )


def _unpriced_currency(config: Config) -> Findings:
    """A currency other than USD, with neither an exchange rate nor prices of your own."""
    pricing = config.pricing
    own = pricing.book or pricing.on_prem or pricing.catalogue_file
    if pricing.currency != "USD" and pricing.usd_exchange_rate is None and not own:
        yield Finding(
            (_CURRENCY,),
            f"is {pricing.currency}, but no price is in it: the bundled catalogue is in USD",
            "set pricing.usd_exchange_rate, or prices of your own in pricing.book; else no node is priced",
        )


def _shadowed_url(config: Config) -> Findings:
    """`sources.dcgm.url` beside `sources.dcgm.file`, which wins."""
    dcgm = config.sources.dcgm
    if dcgm.url and dcgm.file:
        place: Place = ("sources", "dcgm", "url")
        yield Finding((place,), "is not read, because sources.dcgm.file is set", "keep one of the two")


def _never_reached(config: Config) -> Findings:
    """An entry of `pricing.book` or `pricing.on_prem` after one that matches every node."""
    pricing = config.pricing
    lists = {
        "book": [_matches_all(entry) for entry in pricing.book],
        "on_prem": [formula.nodes == "*" for formula in pricing.on_prem],
    }
    for name, matches_all in lists.items():
        if True in matches_all[:-1]:
            first = matches_all.index(True)
            place: Place = ("pricing", name, first)
            message = "matches every node, so the entries after it are never reached"
            yield Finding((place,), message, "move it to the end")


def _matches_all(entry: BookEntry) -> bool:
    said = (entry.provider, entry.region, entry.capacity_type, entry.model)
    return not any(said) and entry.node in ("", "*") and entry.instance_type in ("", "*")


def _free_power(config: Config) -> Findings:
    """A formula of `pricing.on_prem` that counts no electricity."""
    for index, formula in enumerate(config.pricing.on_prem):
        if formula.kw == 0 and not formula.measured_power:
            place: Place = ("pricing", "on_prem", index)
            message = "counts no electricity: kw is 0 and measured_power is off"
            yield Finding((place,), message, "write kw, the node's power in kilowatts")


def _late_idle(config: Config) -> Findings:
    """An idle window longer than the underused window."""
    idle, underused = config.underuse.idle_window_seconds, config.underuse.underused_window_seconds
    if idle > underused:
        yield Finding(
            (("underuse", "idle_window_seconds"), ("underuse", "underused_window_seconds")),
            f"is {idle:g}, longer than underused_window_seconds ({underused:g}): "
            "a silent GPU is called underused before it is called idle",
            f"write at most {underused:g}",
        )


REFUSED = (_listen, _timeout, _url, _exchange_rate, _book, _windows)
"""Rules that a config must keep; each docstring says it for the reference page."""

DOUBTED = (_unpriced_currency, _shadowed_url, _never_reached, _free_power, _late_idle)
"""What is warned of; each docstring names it for the reference page."""


def refused(config: Config) -> Findings:
    """Combinations that cannot work."""
    for rule in REFUSED:
        yield from rule(config)


def doubted(config: Config) -> Findings:
    """Combinations that work but are probably not meant."""
    for rule in DOUBTED:
        yield from rule(config)
