from __future__ import annotations

import datetime as dt

import pytest

from gpusteward.model import Basis, CapacityType, Confidence, PriceSource
from gpusteward.pricing import NodeGpus, PriceBook, bundled_catalogue
from tests.unit.pricing.cases import H100, L4, book, catalogue, gpus, missing, node, rate

SPOT, RESERVED = CapacityType.SPOT, CapacityType.RESERVED


def test_an_annotation_wins_over_everything_and_is_per_gpu() -> None:
    own = book(book=[{"gpu_per_hour": "1"}])
    found = rate(own.price_node(node("p5.48xlarge", annotation=" 2.5 "), gpus(seen=7)))
    assert found.gpu_micro_per_hour == (2_500_000,) * 8
    assert (found.rate.source, found.rate.basis) == (PriceSource.ANNOTATION, Basis.PER_GPU)
    assert found.rate.confidence == Confidence.HIGH
    assert found.rate.as_of is None


@pytest.mark.parametrize("text", ["abc", "-3", "6,88", "1e3", " ", "NaN", "$6.88"])
def test_an_annotation_that_is_no_amount_is_ignored_and_reported(text: str) -> None:
    facts = node("p5.48xlarge", annotation=text)
    found = rate(book().price_node(facts, gpus()))
    assert found.rate.source is PriceSource.CATALOGUE
    assert f"{text!r} is ignored" in found.rate.detail
    nothing = missing(book().price_node(node(annotation=text), gpus("")))
    assert len(nothing.notes) == 1
    assert f"{text!r} is ignored" in str(nothing)


def test_no_annotation_is_nothing_to_report() -> None:
    found = rate(book().price_node(node("p5.48xlarge"), gpus()))
    assert "ignored" not in found.rate.detail


def test_large_amounts_of_a_small_currency_are_not_lost() -> None:
    rupiah = book(currency="IDR", book=[{"gpu_per_hour": "123456789012"}])
    found = rate(rupiah.price_node(node(), gpus(count=1)))
    assert found.list_micro_per_hour == 123_456_789_012_000_000


def test_an_annotation_of_0_is_a_stated_price() -> None:
    assert rate(book().price_node(node(annotation="0"), gpus())).list_micro_per_hour == 0


@pytest.mark.parametrize(
    ("entry", "matches"),
    [
        ({"node": "n*"}, True),
        ({"node": "m*"}, False),
        ({"provider": "AWS"}, True),
        ({"provider": "gcp"}, False),
        ({"instance_type": "p5.*"}, True),
        ({"instance_type": "p5"}, False),
        ({"region": "us-east-1"}, True),
        ({"region": "us-east-2"}, False),
        ({"capacity_type": "on-demand"}, True),
        ({"capacity_type": "spot"}, False),
        ({"model": "h100"}, True),
        ({"model": "h200"}, False),
    ],
)
def test_an_entry_of_the_book_matches_by_every_field_that_is_set(
    entry: dict[str, str], matches: bool
) -> None:
    own = book(book=[entry | {"gpu_per_hour": "2", "note": "contract 7", "as_of": "2026-01-02"}])
    found = rate(own.price_node(node("p5.48xlarge"), gpus()))
    assert (found.rate.source is PriceSource.PRICE_BOOK) == matches
    if matches:
        assert found.gpu_micro_per_hour == (2_000_000,) * 8
        assert found.rate.as_of == dt.date(2026, 1, 2)
        assert found.rate.detail == "pricing.book[0] (contract 7)"


def test_the_first_entry_that_matches_wins() -> None:
    own = book(
        book=[{"provider": "gcp", "node_per_hour": "1"}, {"node_per_hour": "40"}, {"gpu_per_hour": "3"}]
    )
    found = rate(own.price_node(node("p5.48xlarge", capacity=RESERVED), gpus()))
    assert found.gpu_micro_per_hour == (5_000_000,) * 8
    assert found.rate.basis is Basis.WHOLE_NODE
    assert found.rate.capacity_type is RESERVED
    assert found.rate.confidence == Confidence.HIGH
    assert found.rate.detail == "pricing.book[1]"


def test_gpus_of_two_models_have_each_their_entry() -> None:
    mixed = NodeGpus(models=(L4, H100, L4), nominal=3)
    entries = [{"model": "l4", "gpu_per_hour": "1"}, {"model": "h100", "gpu_per_hour": "5"}]
    found = rate(book(book=entries).price_node(node(), mixed))
    assert found.gpu_micro_per_hour == (1_000_000, 5_000_000, 1_000_000)
    assert found.rate.detail == "pricing.book[0], pricing.book[1]"


def test_a_book_that_prices_only_some_gpus_of_a_node_is_not_used() -> None:
    mixed = NodeGpus(models=(L4, H100), nominal=2)
    resolution = book(book=[{"model": "l4", "gpu_per_hour": "1"}]).resolve(node(), mixed)
    assert resolution.steps[1].outcome == "no entry matches 1 of its 2 GPUs"
    both = [{"model": "l4", "gpu_per_hour": "1"}, {"node_per_hour": "9"}]
    resolution = book(book=both).resolve(node(), mixed)
    assert resolution.steps[1].outcome == "entries for the node and for its GPUs match together"


def test_a_board_that_we_do_not_know_can_be_priced_by_its_own_spelling() -> None:
    own = book(book=[{"model": "GeForce RTX 3090", "gpu_per_hour": "0.25"}])
    assert rate(own.price_node(node(), gpus("GeForce RTX 3090", 2))).list_micro_per_hour == 500_000


def test_the_model_price_is_the_median_of_each_providers_least() -> None:
    found = rate(book().price_node(node(""), gpus(H100, 2)))
    # lambda 3.99, coreweave 6.155, aws 6.88, azure 11.061, gcp 11.06125
    assert found.gpu_micro_per_hour == (6_880_000, 6_880_000)
    assert (found.rate.source, found.rate.basis) == (PriceSource.MODEL, Basis.PER_GPU)
    assert found.rate.confidence == Confidence.LOW
    assert found.rate.as_of == dt.date(2026, 1, 1)
    assert "3.99 to 11.06125" in found.rate.detail


def test_of_two_providers_the_model_price_is_their_mean() -> None:
    found = rate(
        book().price_node(node("", capacity=SPOT), gpus("NVIDIA RTX PRO 6000 Blackwell Server Edition", 1))
    )
    # coreweave 2.5, aws 3.36312, gcp 4.49993: the parts of a GPU that gcp and azure sell do not count
    assert found.list_micro_per_hour == 3_363_120
    assert "capacity type spot, priced on demand" in found.rate.detail
    two = catalogue({}, {"provider": "other", "on_demand_usd_per_hour": "60"})
    assert rate(book(two).price_node(node(""), gpus(count=1))).list_micro_per_hour == 7_190_000


def test_conditional_sales_do_not_make_a_model_price() -> None:
    listed = catalogue({"on_demand_kind": "flex"})
    gone = missing(book(listed).price_node(node(""), gpus()))
    assert "no provider sells H100-SXM5-80GB plainly on demand" in gone.reason


def test_a_gpu_of_unknown_model_has_the_model_of_the_others() -> None:
    found = rate(book().price_node(node(""), NodeGpus(models=(H100, ""), nominal=3)))
    assert found.gpu_micro_per_hour == (6_880_000,) * 3
    mixed = missing(book().price_node(node(""), NodeGpus(models=(H100, L4), nominal=3)))
    assert "the GPU model is not known" in mixed.reason


def test_models_of_a_node_are_priced_each_by_its_own_market() -> None:
    found = rate(book().price_node(node(""), NodeGpus(models=(H100, L4, H100), nominal=3)))
    assert found.gpu_micro_per_hour[0] == found.gpu_micro_per_hour[2] == 6_880_000
    assert found.gpu_micro_per_hour[1] < 1_000_000


def test_a_missing_price_says_what_was_tried_and_what_to_do() -> None:
    gone = missing(book().price_node(node("p9.48xlarge"), gpus("NVIDIA X1")))
    assert "no row for aws p9.48xlarge" in gone.reason
    assert "'NVIDIA X1' is not a known GPU model" in gone.reason
    assert gone.next_step == "add an entry to `pricing.book`"
    assert gone.notes == ()


def test_a_node_without_gpus_has_no_price() -> None:
    gone = missing(book().price_node(node("p5.48xlarge"), NodeGpus(models=(), nominal=0)))
    assert "no GPUs" in gone.reason


def test_prices_in_another_currency_are_converted_and_say_so() -> None:
    euro = book(currency="EUR", usd_exchange_rate="0.9")
    found = rate(euro.price_node(node("p5.48xlarge"), gpus()))
    assert (found.list_micro_per_hour, found.rate.currency) == (49_536_000, "EUR")
    assert "55.04 USD, converted at 0.9 EUR per USD" in found.rate.detail
    market = rate(euro.price_node(node(""), gpus(count=1)))
    assert market.list_micro_per_hour == 6_192_000
    fitted = rate(
        book(currency="EUR", usd_exchange_rate="0.9", basis="fitted").price_node(
            node("g6.xlarge"), gpus(L4, 1)
        )
    )
    assert fitted.gpu_micro_per_hour == (568_800,)


@pytest.mark.parametrize("settings", [{}, {"usd_exchange_rate": "0"}])
def test_currencies_are_never_mixed(settings: dict[str, str]) -> None:
    euro = book(currency="EUR", **settings)
    gone = missing(euro.price_node(node("p5.48xlarge"), gpus()))
    assert "usd_exchange_rate" in gone.reason
    assert gone.next_step.startswith("set `pricing.usd_exchange_rate`")
    abroad = missing(euro.price_node(node("p5.48xlarge", region="x"), gpus()))
    assert "usd_exchange_rate" in abroad.reason
    own = rate(euro.price_node(node(annotation="3"), gpus(count=1)))
    assert (own.list_micro_per_hour, own.rate.currency) == (3_000_000, "EUR")


def test_the_steps_are_tried_in_their_order_and_the_last_one_won() -> None:
    resolution = book().resolve(node("p5.48xlarge", region="x"), gpus())
    assert [step.source for step in resolution.steps] == list(PriceSource)[:4]
    assert resolution.steps[-1].outcome == ""
    assert all(step.outcome for step in resolution.steps[:-1])


def test_an_own_price_of_a_gpu_node_is_not_passed_over() -> None:
    """OpenCost, issue 3160: custom pricing was ignored on GPU nodes."""
    own = book(book=[{"instance_type": "p5.48xlarge", "node_per_hour": "30"}])
    assert rate(own.price_node(node("p5.48xlarge"), gpus())).list_micro_per_hour == 30_000_000


def test_a_family_that_is_not_listed_is_missing_and_never_0() -> None:
    """OpenCost, issue 2215: new families were priced 0."""
    gone = missing(book().price_node(node("p7.48xlarge"), gpus("NVIDIA R100")))
    assert "no row for aws p7.48xlarge" in gone.reason


def test_a_price_book_remembers_its_catalogue_and_settings() -> None:
    own = book(currency="EUR")
    assert isinstance(own, PriceBook)
    assert own.catalogue is bundled_catalogue()
    assert own.settings.currency == "EUR"
