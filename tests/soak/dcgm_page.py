"""A simulated sample written as a dcgm-exporter page, so that a real agent reads it the way of real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.captures.synthesise import V490, Entity, page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpusteward.model import Allocation, NodeReadings


def dcgm_page(node: NodeReadings) -> str:
    """The page, in the 4.9 vocabulary; one row an instance and field, with its holder's labels."""
    return page("a moment of a simulated fleet", V490, _entities(node))


def _entities(node: NodeReadings) -> Iterator[Entity]:
    for gpu in node.gpus:
        for instance in gpu.instances:
            yield Entity(
                gpu=int(gpu.gpu),
                uuid=gpu.uuid,
                model=gpu.model,
                values=gpu.signals | instance.signals,  # type: ignore[operator]  # both are dicts here
                gi=instance.gi,
                profile=instance.profile,
                extra=tuple(_labels(held) for held in instance.allocations or ()) or ({},),
            )


def _labels(held: Allocation) -> dict[str, str]:
    holder = held.holder
    return {"namespace": holder.namespace, "pod": holder.pod, "container": holder.container}
