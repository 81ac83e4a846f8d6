"""Bills: counted by hand for small cases, and refused where a way cannot carry the traffic."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streetvision.cost.bills import BUSY, Bill, Place, Question, bills, place
from streetvision.cost.estimate import FACTORS, estimate, estimate_fields, with_measured
from streetvision.cost.prices import HOURS, read_prices
from streetvision.cost.speeds import read_speeds
from streetvision.cost.traffic import Here, Traffic, steady
from streetvision.errors import OperatorError

SPEEDS, PRICES = read_speeds(), read_prices()
WAYS = ["cpu", "cpu_together", "card", "card_shared", "modal", "modal_warm", "kubernetes"]


def at(rate: float = 0.05, hotkeys: int = 6, card: str = "l4", warm: int = 1) -> Place:
    return place(Question(hotkeys, card, "base", warm), steady(rate), SPEEDS, PRICES)


def by_way(place_: Place) -> dict[str, Bill]:
    return {bill.way: bill for bill in bills(place_)}


def test_all_ways_in_order() -> None:
    assert [bill.way for bill in bills(at())] == WAYS


def test_a_card_for_each_costs_so_many_times_one() -> None:
    found = by_way(at())
    card = PRICES.cheapest("l4").hour * HOURS
    assert found["card"].month == pytest.approx(6 * card)
    assert found["card_shared"].month == pytest.approx(card)


def test_miners_share_cpu_machines_by_memory() -> None:
    """A ViT-B takes 1.7 GiB a process: two fit into 4 GiB."""
    assert by_way(at())["cpu_together"].lines[0].count == 3
    assert by_way(at(hotkeys=7))["cpu_together"].lines[0].count == 4


def test_kubernetes_is_plane_front_and_nodes() -> None:
    plane, front, nodes = by_way(at())["kubernetes"].lines
    assert plane.month == pytest.approx(73.0)
    assert (front.count, nodes.count) == (3, 1)


def test_modal_pays_seconds_less_its_credit() -> None:
    front, container, credit = by_way(at(warm=2))["modal_warm"].lines
    assert container.count == 2
    assert container.month == pytest.approx(2 * HOURS * 3600 * PRICES.container_second("l4"))
    assert credit.month == -PRICES.modal.credit_month
    assert front.month > 0


def test_the_credit_never_pays_out() -> None:
    found = by_way(at(rate=1e-7, hotkeys=1))["modal"]
    assert sum(line.month for line in found.lines[1:]) == 0


def test_scaled_to_zero_is_cheaper_where_requests_are_rare() -> None:
    found = by_way(at(rate=0.0005, hotkeys=1))
    assert found["modal"].month is not None
    assert found["modal"].month < (found["modal_warm"].month or 0) / 2
    assert 0.9 < (found["modal"].cold or 0) <= 1


def test_a_miner_beyond_a_cpu_is_told_of_and_not_priced() -> None:
    """One address is one process: its requests cannot be divided among machines."""
    found = by_way(at(rate=20))
    can = BUSY * SPEEDS.of("cpu", "base").per_s
    assert found["cpu"].month is None
    assert f"{can:.3g}" in found["cpu"].limit
    assert found["cpu_together"].month is None
    assert found["card"].month is not None


def test_nothing_carries_more_than_a_process_can() -> None:
    assert [bill.month for bill in bills(at(rate=2000, card="h200"))] == [None] * len(WAYS)


def test_shared_machines_grow_by_whole_miners() -> None:
    found = by_way(at(rate=500, card="h200", hotkeys=12))["card_shared"]
    can = BUSY * min(SPEEDS.of("h200", "base").per_s, 8 * SPEEDS.host.process_per_s)
    assert found.lines[0].count == -(-12 // int(can // 500))


def test_the_peak_sizes_machines_and_the_hours_size_modal() -> None:
    spiky = Traffic((0.05,), 100.0, "")
    found = by_way(replace(at(card="h100", hotkeys=12), traffic=spiky))
    assert found["kubernetes"].lines[2].count == 3  # 1,200 a second at the peak, 583 a link
    assert found["modal"].lines[1].count == pytest.approx(1.0, abs=0.01)


def test_more_traffic_never_costs_less() -> None:
    found = estimate(Question(4, "l4", "base", 1), steady(0.01), SPEEDS, PRICES, None)
    for place_ in range(len(WAYS)):
        months = [row[place_].month for row in found.by_factor.values()]
        known = [month for month in months if month is not None]
        assert known == sorted(known)
        assert months[: len(known)] == known


def test_the_log_replaces_the_table_for_this_machine() -> None:
    own = with_measured(SPEEDS, Here(0.02, 1000), "cpu", "base")
    assert own.of("cpu", "base").per_s == pytest.approx(50)
    assert own.of("cpu", "base").measured
    assert own.of("l4", "base") == SPEEDS.of("l4", "base")
    with pytest.raises(OperatorError, match="holds no answer"):
        with_measured(SPEEDS, None, "cpu", "base")
    with pytest.raises(OperatorError, match="did you mean l4"):
        with_measured(SPEEDS, Here(0.02, 1), "l44", "base")


def test_fields_have_a_bill_for_each_way_and_factor() -> None:
    found = estimate_fields(estimate(Question(1, "l4", "base", 1), steady(0.05), SPEEDS, PRICES, Here(0.02, 10)))
    assert [(bill["factor"], bill["way"]) for bill in found["bills"]] == [(f, way) for f in FACTORS for way in WAYS]
    assert found["speeds"]["l4"]["measured"] is False
    assert found["measured_here_s"] == 0.02
    for bill in found["bills"]:
        assert bill["month_usd"] == pytest.approx(sum(line["month_usd"] for line in bill["lines"]))
