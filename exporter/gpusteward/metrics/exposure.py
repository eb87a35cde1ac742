"""How a snapshot is to be shown: what the config and the build say about the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpusteward import __version__

if TYPE_CHECKING:
    import datetime as dt

    from gpusteward.model import JournalHealth


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Settings of the page. Frozen: a reload makes a new one (`dataclasses.replace`).

    Attributes:
        mode: `real` or `simulated`.
        currency: ISO 4217 currency of all money.
        catalogue_date: date of the newest catalogue figure; None when no catalogue is used.
        cluster: `cluster` label of every series; empty = no such label.
        holder_label_prefix: put before `namespace`, `pod`, `container`.
        series_budget: series the page may have.
        reload_success: whether the last reload of the config was accepted.
        reloaded_at: Unix time at which the config in force was read; None when it is the built-in one.
        journal: how the journal does; None when there is none.
        version: of GPU Steward.
    """

    mode: str
    currency: str = "USD"
    catalogue_date: dt.date | None = None
    cluster: str = ""
    holder_label_prefix: str = ""
    series_budget: int = 3000
    reload_success: bool = True
    reloaded_at: float | None = None
    journal: JournalHealth | None = None
    version: str = __version__
