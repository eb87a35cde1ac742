"""What a name that nothing has may have been meant to be."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from gpusteward.pricing.models import bundled_models, normalised

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpusteward.pricing.prices import Catalogue


def nearest(written: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known names nearest to what was written, nearest first; case does not matter."""
    by_key = {name.casefold(): name for name in sorted(known)}
    return [by_key[key] for key in get_close_matches(written.casefold(), by_key, n=most)]


def did_you_mean(written: str, known: Iterable[str], most: int = 3) -> str:
    """`did you mean A, B?`; empty when no name is near."""
    near = nearest(written, known, most)
    return f"did you mean {', '.join(near)}?" if near else ""


def nearest_models(spelling: str) -> list[str]:
    """Our names of the models whose spellings are nearest to this one, nearest first."""
    spellings = bundled_models().spellings
    near = nearest(normalised(spelling), spellings)
    return list(dict.fromkeys(spellings[key].name for key in near))


def suggestions(catalogue: Catalogue, text: str) -> list[str]:
    """What may have been meant, an instance type or a model, and where to look."""
    names = {row.instance_type for row in catalogue.rows} | {model.name for model in bundled_models().all}
    meant = did_you_mean(text, names)
    next_step = "next: `gpusteward prices list` shows all instance types and models"
    return [meant, next_step] if meant else [next_step]
