"""The figures of docs/prices.md are what the code computes."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml

from gpusteward.model import NodeFacts
from gpusteward.pricing import explain, split
from gpusteward.pricing.fitted import Fit
from gpusteward.pricing.offers import shown
from gpusteward.pricing.onprem import node_per_hour
from tests.unit.pricing.cases import H100, book, gpus, node, rate, seen

PAGE = (Path(__file__).parents[3] / "docs" / "prices.md").read_text(encoding="utf-8")


def pricing_of(key: str) -> dict[str, Any]:
    """The `pricing` section of the page's example that has this key."""
    for example in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL):
        section: dict[str, Any] = yaml.safe_load(example)["pricing"]
        if key in section:
            return section
    pytest.fail(f"no example of {key}")


def test_the_explained_node_is_what_is_printed() -> None:
    report = explain(book(), "n1", [seen(book(), node("p5.48xlarge", region="eu-west-1"), gpus())])
    assert "```\n" + "\n".join(report.lines) + "\n```" in PAGE


def test_the_worked_example_of_the_formula_is_computed() -> None:
    own = book(**pricing_of("on_prem"))
    (entry,) = own.settings.on_prem
    facts = NodeFacts(name="dgx-1")
    found = rate(own.price_node(facts, gpus()))
    terms = " + ".join(shown(term) for term in node_per_hour(entry, Fraction("10.2")))
    total, each = shown(found.list_micro_per_hour), shown(found.gpu_micro_per_hour[0])
    assert f"costs {terms} = {total} USD an hour, {each} a GPU." in PAGE


def test_the_price_book_of_the_page_works() -> None:
    own = book(**pricing_of("book"))
    assert rate(own.price_node(node("p5.4xlarge"), gpus(count=1))).list_micro_per_hour == 2_490_000


@pytest.mark.parametrize(
    ("name", "instance_type"),
    [("g6, gr6", "g6.xlarge"), ("g5", "g5.xlarge"), ("g6e", "g6e.xlarge"), ("g2", "g2-standard-4")],
)
def test_the_fitted_terms_of_the_page_are_fitted(name: str, instance_type: str) -> None:
    prices = book()
    fit = prices.fit(prices.catalogue.of_type("", instance_type)[0])
    assert isinstance(fit, Fit)
    stated = re.search(rf"^\| {name} \| ([\d.]+) ", PAGE, re.MULTILINE)
    assert stated is not None
    assert float(fit.gpu) / 1e6 == pytest.approx(float(stated[1]), abs=2e-4)


@pytest.mark.parametrize(
    ("row", "layout"),
    [
        ("| 4g.40gb + 3g.40gb | 4/8 + 4/8 | 0 | 0 |", ["4g.40gb", "3g.40gb"]),
        ("| 6 × 1g.10gb | 6 × 1/8 | 2/8 | 0 |", ["1g.10gb"] * 6),
        ("| 7 × 1g.10gb | 7 × 1/8 | 0 | 1/8 |", ["1g.10gb"] * 7),
        ("| none | | 8/8 | 0 |", []),
    ],
)
def test_the_mig_layouts_of_the_page_are_split_so(row: str, layout: list[str]) -> None:
    assert row in PAGE
    shares = split(H100, layout)
    free, stranded = (cell.strip() for cell in row.split("|")[3:5])
    assert (shares.free, shares.stranded) == (Fraction(free), Fraction(stranded))
