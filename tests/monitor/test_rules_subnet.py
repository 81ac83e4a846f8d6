"""The rule about the subnet itself: another owner, another name, another subnet under the netuid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from streetvision.chain.client import Chain
from streetvision.chain.mock.chain import MockChain
from streetvision.chain.mock.substrate import MockSubstrate
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.observation import Observation
from streetvision.monitor.point import HistoryPoint, point_of
from streetvision.monitor.rules import judge

Make = Callable[..., Any]
DAY = 86_400.0
BEFORE = {"subnet_name": "StreetVision", "subnet_owner": "5Old", "subnet_registered_at": 4_000_000}


@pytest.fixture
def history(seen: Make, point: Make, now: float) -> Callable[..., Observation]:
    """A point each day for thirty days; from `ago` days before now on with changes."""

    def build(ago: float = 2.0, **changes: Any) -> Observation:
        days = range(30, -1, -1)
        rows = [{**BEFORE, **(changes if day <= ago else {})} for day in days]
        points = [point(0, time=now - day * DAY - 60, **row) for day, row in zip(days, rows, strict=True)]
        return seen(points=tuple(points))  # type: ignore[no-any-return]

    return build


def found(view: Observation) -> Finding | None:
    return next((finding for finding in judge(view) if finding.code == "subnet_changed"), None)


@pytest.mark.parametrize(
    ("changes", "severity", "title"),
    [
        ({"subnet_name": "Elsewhere"}, Severity.WARNING, "the subnet has another name"),
        ({"subnet_owner": "5New"}, Severity.WARNING, "the subnet has another owner"),
        ({"subnet_name": "Elsewhere", "subnet_owner": "5New"}, Severity.CRITICAL, "the subnet has another owner and "),
        ({"subnet_registered_at": 6_900_000}, Severity.CRITICAL, "the netuid was given to another subnet"),
    ],
)
def test_what_changed_and_how_grave_it_is(
    history: Make, now: float, changes: dict[str, Any], severity: Severity, title: str
) -> None:
    finding = found(history(**changes))
    assert finding is not None
    assert finding.severity is severity
    assert finding.title.startswith(title)
    assert finding.since == now - 2 * DAY - 60
    for key, new in changes.items():
        assert any(str(BEFORE[key]) in sentence and str(new) in sentence for sentence in finding.evidence)
        assert finding.data[f"new_{key.removeprefix('subnet_')}"] == new
    assert ("--netuid" in finding.remedy) is ("subnet_registered_at" in changes)


def test_nothing_changed_or_long_ago_or_nobody_says(history: Make, point: Make) -> None:
    assert found(history()) is None
    assert found(history(6.0, subnet_name="Elsewhere")) is not None
    assert found(history(7.0, subnet_name="Elsewhere")) is None
    assert found(history(subnet_name=None, subnet_owner=None, subnet_registered_at=None)) is None
    assert found(replace(history(), points=())) is None
    gap = history(3.0, subnet_name=None)
    renamed = replace(gap.points[-1], time=gap.now - 1, subnet_name="Elsewhere")
    finding = found(replace(gap, points=(*gap.points, renamed)))
    assert finding is not None, "the last known name is remembered over points without one"
    back = replace(renamed, time=gap.now, subnet_name="StreetVision")
    assert found(replace(gap, points=(*gap.points, renamed, back))) is None


def test_points_of_before_it_was_kept_are_no_other_name(seen: Make, point: Make, now: float) -> None:
    points = (point(0, time=now - 120), point(0, time=now - 60, **BEFORE))
    assert found(seen(points=points)) is None


async def test_the_chain_says_who_owns_the_subnet_and_how_it_is_called() -> None:
    mock = MockChain()
    chain = Chain("mock", 72, substrate_factory=lambda _: MockSubstrate(mock))

    async def point() -> HistoryPoint:
        return point_of(await chain.snapshot(), "own", None)

    first = await point()
    assert first.subnet_name == "StreetVision (mocked)"
    assert first.subnet_owner == mock.state.rows[0].coldkey
    assert first.subnet_registered_at == mock.config.start_block - mock.config.subnet_age
    mock.reconfigure(subnet_name="Else\x1b[31m\nwhere" + 100 * "x", subnet_owner="5New", subnet_age=10)
    second = await point()
    assert second.subnet_name is not None
    assert second.subnet_name.startswith("Else [31m wherexxx")
    assert len(second.subnet_name) == 64
    assert (second.subnet_owner, second.subnet_registered_at) == ("5New", mock.config.start_block - 10)
