from __future__ import annotations

import pytest

from gpusteward.config import Config
from gpusteward.pricing import PriceBook, bundled_catalogue, doubts
from gpusteward.pricing.names import nearest_models
from tests.unit.pricing.cases import catalogue

ON_PREM = {"on_prem": [{"capex": "300000", "kw": 10}]}
A100 = ("A100-PCIe-40GB", "A100-PCIe-80GB", "A100-SXM4-40GB", "A100-SXM4-80GB")
BOOK = {"book": [{"node_per_hour": "9"}]}


def doubted(config: dict[str, object]) -> dict[str, tuple[str, str]]:
    """Message and remedy of each doubt, by its setting."""
    settings = Config.model_validate(config)
    found = doubts(PriceBook(bundled_catalogue(), settings.pricing), settings)
    return {problem.path: (problem.message, problem.remedy) for problem in found}


@pytest.mark.parametrize(
    "node",
    [
        {},
        {"provider": "AWS", "instance_type": "P5.48xlarge", "region": "US-east-1"},
        {"provider": "gcp", "instance_type": "n1-standard-8", "region": "us-central1"},
        {"instance_type": "g6.xlarge"},
        {"region": "eastus2"},
    ],
)
def test_what_the_catalogue_knows_is_not_doubted(node: dict[str, str]) -> None:
    assert doubted({"node": node}) == {}


def test_each_name_of_the_node_that_is_not_known_is_doubted_with_the_nearest() -> None:
    node = {"provider": "awz", "instance_type": "p5.48xlarg", "region": "us-esat-1"}
    assert doubted({"node": node}) == {
        "node.provider": ("is 'awz', which gpu_prices.csv does not know", "did you mean aws?"),
        "node.instance_type": (
            "is 'p5.48xlarg', which gpu_prices.csv does not know",
            "did you mean p5.48xlarge?",
        ),
        "node.region": (
            "is 'us-esat-1', where gpu_prices.csv has no price: another region's is taken",
            "did you mean us-east-1? else state the price in pricing.book",
        ),
    }


def test_a_name_that_is_near_to_nothing_is_doubted_with_what_to_write() -> None:
    found = doubted({"node": {"provider": "hetzner", "instance_type": "xyz", "region": "moon"}})
    own = "state the node's price in pricing.book"
    assert [remedy for _, remedy in found.values()] == [own, own, "else state the price in pricing.book"]


def test_a_type_and_a_region_are_looked_for_at_their_provider() -> None:
    found = doubted({"node": {"provider": "gcp", "instance_type": "p5.48xlarge", "region": "us-east-1"}})
    assert list(found) == ["node.instance_type", "node.region"]
    assert "us-east4" in found["node.region"][1]


@pytest.mark.parametrize("own", [ON_PREM, BOOK])
def test_words_of_ones_own_beside_prices_of_ones_own_are_not_doubted(own: dict[str, object]) -> None:
    node = {"provider": "basement", "instance_type": "xyz", "region": "us-east-2"}
    assert doubted({"node": node, "pricing": own}) == {}
    slipped = {"node": {"provider": "awss"}, "pricing": own}
    assert list(doubted(slipped)) == ["node.provider"]


def test_prices_of_ones_own_for_other_nodes_change_nothing() -> None:
    other = {"book": [{"node": "m*", "node_per_hour": "9"}]}
    assert list(doubted({"node": {"provider": "basement"}, "pricing": other})) == ["node.provider"]


def test_a_model_of_the_book_is_doubted_when_it_is_open_or_not_known() -> None:
    models = ["A100", "H100 SMX", "qqqqqq", "h100 sxm", "", "NVIDIA L4"]
    entries = [{"model": model, "gpu_per_hour": "2"} for model in models]
    found = doubted({"pricing": {"book": entries}})
    assert found == {
        "pricing.book[0].model": (
            "'A100' leaves open which model it is, so it matches only GPUs spelt so",
            f"write one entry for each of {', '.join(A100)} that you have",
        ),
        "pricing.book[1].model": (
            "'H100 SMX' is no model known here, so it matches only GPUs spelt so",
            "did you mean H100-SXM5-80GB?",
        ),
        "pricing.book[2].model": ("'qqqqqq' is no model known here, so it matches only GPUs spelt so", ""),
    }


def test_an_operators_own_catalogue_is_what_knows() -> None:
    listed = catalogue({"provider": "mine", "instance_type": "box", "region": "cellar"})
    ours = Config.model_validate({"node": {"provider": "mine", "instance_type": "box", "region": "cellar"}})
    assert doubts(PriceBook(listed, ours.pricing), ours) == ()
    theirs = Config.model_validate({"node": {"provider": "aws", "instance_type": "p5.48xlarge"}})
    assert [problem.path for problem in doubts(PriceBook(listed, theirs.pricing), theirs)] == [
        "node.provider",
        "node.instance_type",
    ]


def test_the_nearest_models_are_found_by_any_of_their_spellings() -> None:
    assert nearest_models("L40 S") == ["L40S", "L40"]
    assert nearest_models("qqqqqq") == []
