from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusteward.pricing import bundled_catalogue
from gpusteward.pricing.fitted import MOST_RESIDUAL, Fit, Refusal, family, fit
from gpusteward.pricing.rows import PriceRow
from tests.unit.pricing.cases import catalogue

if TYPE_CHECKING:
    import random


def bundled(instance_type: str) -> Fit | Refusal:
    rows = bundled_catalogue().rows
    return fit(rows, next(row for row in rows if row.instance_type == instance_type))


def size(gpus: str, vcpus: str, gib: str, price: str, name: str = "1") -> dict[str, str]:
    """A size of the family g6 with 22.35 GiB boards; names differ."""
    return {
        "instance_type": f"g6.size{name}",
        "gpu_model": "L4",
        "gpu_memory_gib": "24",
        "gpu_count": gpus,
        "vcpus": vcpus,
        "memory_gib": gib,
        "on_demand_usd_per_hour": price,
        "spot_usd_per_hour": "",
    }


def rows_of(*sizes: tuple[str, str, str, str]) -> tuple[PriceRow, ...]:
    listed = catalogue(*(size(*figures, name=str(n)) for n, figures in enumerate(sizes)))
    return listed.rows


@pytest.mark.parametrize(
    ("instance_type", "gpu", "vcpu", "gib"),
    [
        ("g6.48xlarge", 0.632, 0.0297, 0.003375),
        ("gr6.4xlarge", 0.632, 0.0297, 0.003375),
        ("g5.xlarge", 0.80, 0.0515, None),
        ("g6e.xlarge", 1.48, 0.0953, None),
        ("g2-standard-4", 0.560, 0.0367, None),
        ("g7.2xlarge", 1.998, 0.0653, None),
        ("n1-standard-8+4xT4", 0.35, 0.0475, None),
    ],
)
def test_families_that_are_linear_give_their_gpu_term(
    instance_type: str, gpu: float, vcpu: float, gib: float | None
) -> None:
    found = bundled(instance_type)
    assert isinstance(found, Fit)
    assert float(found.gpu) / 1e6 == pytest.approx(gpu, abs=2e-4)
    assert float(found.vcpu) / 1e6 == pytest.approx(vcpu, abs=1e-4)
    assert (found.gib is None) == (gib is None)
    assert found.gib is None or float(found.gib) / 1e6 == pytest.approx(gib)
    assert found.residual < MOST_RESIDUAL


@pytest.mark.parametrize(
    ("instance_type", "reason"),
    [
        ("p5.48xlarge", "over its 2 sizes GPUs grow in step"),
        ("p4d.24xlarge", "it has one size"),
        ("a2-highgpu-8g", "over its 5 sizes GPUs grow in step"),
        ("g4-standard-96", "over its 4 sizes GPUs grow in step"),
        ("g4-standard-6", "g4-standard-6 has a part of a GPU"),
        ("g6f.large", "g6f.large has a part of a GPU"),
        ("g4dn.xlarge", "missed by 11.4%"),
        ("g7e.2xlarge", "the memory term would be -0.007659, below 0"),
        ("Standard_NC4as_T4_v3", "the vCPU term would be"),
        ("8xH100", "no size is sold on demand with its GPUs, vCPUs and memory told"),
        ("a4-highgpu-8g", "no size is sold on demand"),
    ],
)
def test_families_that_do_not_tell_their_gpu_term_are_refused_with_the_reason(
    instance_type: str, reason: str
) -> None:
    found = bundled(instance_type)
    assert isinstance(found, Refusal)
    assert reason in found.reason
    assert "cannot be fitted" in str(found)


@pytest.mark.parametrize(
    ("provider", "instance_type", "name"),
    [
        ("aws", "g6.xlarge", "g6"),
        ("AWS", "gr6.4xlarge", "g6"),
        ("aws", "g6e.xlarge", "g6e"),
        ("aws", "p4de.24xlarge", "p4de"),
        ("gcp", "g2-standard-4", "g2"),
        ("azure", "Standard_NC4as_T4_v3", "standard_nc*as_t4_v3"),
        ("lambda", "gpu_8x_h100_sxm5", "gpu_*x_h100_sxm5"),
    ],
)
def test_the_family_is_the_prefix_with_its_memory_variants(
    provider: str, instance_type: str, name: str
) -> None:
    assert family(provider, instance_type) == name


def test_as_many_sizes_as_terms_prove_nothing() -> None:
    exact = [("1", "4", "16", "1"), ("2", "4", "16", "1.6"), ("4", "16", "64", "4")]
    two = fit(rows_of(*exact[:2]), rows_of(*exact[:2])[0])
    assert isinstance(two, Refusal)
    assert two.reason == "2 sizes are too few to test 2 terms"
    three = fit(rows_of(*exact), rows_of(*exact)[0])
    assert isinstance(three, Fit)
    assert three.gpu == 600_000
    assert three.vcpu == 100_000
    assert three.residual == 0


def test_a_miss_of_half_a_percent_is_refused_and_just_below_is_taken() -> None:
    def with_last(price: str) -> Fit | Refusal:
        figures = [
            ("1", "4", "16", "10"),
            ("2", "8", "32", "20"),
            ("1", "8", "32", "10"),
            ("1", "16", "64", price),
        ]
        rows = catalogue(
            *(size(*f, name=str(n)) | {"gpu_model": "RTX-4090"} for n, f in enumerate(figures))
        ).rows
        return fit(rows, rows[0])

    assert isinstance(with_last("10.1"), Fit)
    refused = with_last("10.3")
    assert isinstance(refused, Refusal)
    assert "0.5% is the limit" in refused.reason


def test_a_negative_gpu_term_is_refused() -> None:
    rows = rows_of(
        ("1", "8", "32", "1.2"), ("2", "8", "32", "1"), ("1", "16", "64", "2.4"), ("2", "16", "64", "2.2")
    )
    refused = fit(rows, rows[0])
    assert isinstance(refused, Refusal)
    assert "the GPU term would be" in refused.reason


term = st.integers(min_value=1, max_value=500_000)  # micro-USD, so that no price is rounded
shape = st.tuples(st.sampled_from((1, 2, 4, 8)), st.integers(8, 64), st.integers(16, 256))


@given(
    st.tuples(term, term, term),
    st.lists(shape, min_size=1, max_size=8, unique=True),
    st.randoms(use_true_random=False),
)
def test_a_linear_family_is_recovered_exactly_or_does_not_tell_its_terms(
    terms: tuple[int, int, int], shapes: list[tuple[int, int, int]], order: random.Random
) -> None:
    rows = [_row(n, s, sum(a * b for a, b in zip(terms, s, strict=True))) for n, s in enumerate(shapes)]
    found = fit(rows, rows[0])
    shuffled = list(rows)
    order.shuffle(shuffled)
    assert fit(shuffled, rows[0]) == found
    if isinstance(found, Fit):
        assert found.gpu == terms[0]
        assert found.residual == 0
        assert found.gib is None or [found.vcpu, found.gib] == [Fraction(term) for term in terms[1:]]
    else:
        assert "in step" in found.reason or "too few" in found.reason or "one size" in found.reason


def _row(number: int, shape: tuple[int, int, int], price: int) -> PriceRow:
    return PriceRow(
        path=f"f:{number}",
        provider="aws",
        instance_type=f"g6.size{number}",
        region="r",
        model="L4",
        gpus=Fraction(shape[0]),
        gpu_memory_gib=None,
        vcpus=Fraction(shape[1]),
        memory_gib=Fraction(shape[2]),
        on_demand_micro=price,
        on_demand_kind="on-demand",
        spot_micro=None,
        spot_confidence="",
        as_of=None,
        source="",
    )
