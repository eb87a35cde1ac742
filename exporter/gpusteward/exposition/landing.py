"""The page at `/`: what this is, how old its data are, and where to go."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from gpusteward import __version__

if TYPE_CHECKING:
    from gpusteward.model import Snapshot

CONTENT_SECURITY_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
PATHS: Final = {
    "/metrics": "metrics for Prometheus, as text or OpenMetrics",
    "/snapshot": "the same and more as JSON",
    "/usage": "closed rows of usage as JSON, where there is a journal; ?after=SEQ&limit=N",
    "/livez": "whether the server runs, and still has its devices",
    "/readyz": "whether there is a first sample",
}


def landing(snapshot: Snapshot | None, age_seconds: float | None) -> bytes:
    """The page as HTML.

    Args:
        snapshot: the newest; None before the first.
        age_seconds: how old it is; None before the first.
    """
    links = "".join(f'<li><a href="{path}">{path}</a> {what}</li>' for path, what in PATHS.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>GPU Steward agent</title>'
        "<style>body{font:1rem/1.5 system-ui;max-width:45rem;margin:2rem auto;padding:0 1rem}"
        ".simulated{border:3px solid;padding:.5rem 1rem;font-weight:bold}</style></head><body>"
        f"<h1>GPU Steward agent {escape(__version__)}</h1>{_said_first(snapshot)}"
        f"<p>{escape(_status(snapshot, age_seconds))}</p><ul>{links}</ul></body></html>\n"
    ).encode("utf-8", "replace")


def _said_first(snapshot: Snapshot | None) -> str:
    if snapshot is None or snapshot.mode != "simulated":
        return ""
    return '<p class="simulated">SIMULATED: no GPU here is real, and no cost is.</p>'


def _status(snapshot: Snapshot | None, age_seconds: float | None) -> str:
    if snapshot is None or age_seconds is None:
        return "No sample was taken yet."
    health = snapshot.health
    shown = f"Mode {snapshot.mode}, source {snapshot.source}: {_count(snapshot)}"
    if health.success:
        return f"{shown}, sampled {age_seconds:.0f} s ago."
    why = health.message.replace("\n  next:", ". Next:")
    if health.last_success is None:
        return f"{shown}; no sample succeeded yet. {why}"
    old = snapshot.at.wall - health.last_success + age_seconds
    return f"{shown}; the last good sample is {old:.0f} s old. {why}"


def _count(snapshot: Snapshot) -> str:
    gpus, nodes = sum(len(node.gpus) for node in snapshot.nodes), len(snapshot.nodes)
    return f"{gpus} GPU{'s' * (gpus != 1)} on {nodes} node{'s' * (nodes != 1)}"
