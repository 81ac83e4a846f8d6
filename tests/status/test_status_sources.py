"""Where snapshots come from: the running miner's monitor, the log of before, and the files of a miner that is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from simulation.subnet import OWN, Subnet

from streetvision.control.monitor_operations import monitor_operations
from streetvision.errors import OperatorError
from streetvision.monitor.history import History
from streetvision.monitor.monitor import Monitor, Sources
from streetvision.monitor.thresholds import DAY
from streetvision.monitor.traffic_counter import TrafficCounter
from streetvision.settings.settings import Settings
from streetvision.status.files import last_hotkey, status_from_files
from streetvision.status.live import LiveStatus, span_of
from streetvision.status.samples import Samples, remembered
from streetvision.status.schema import OPERATION, Span

from ..conftest import Logbook
from .worlds import FACTS, observed

Silent = Callable[..., None]


def nothing(_: Any) -> None:
    """No progress to tell of."""


# -- live --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def monitor(tmp_path: Path) -> Monitor:
    subnet = Subnet(1, uids=64)
    counter = TrafficCounter(subnet.time)
    watched = Monitor(tmp_path, OWN, 72, Sources(snapshot_age=lambda: 5.0), counter, now=lambda: subnet.time)
    watched.on_snapshot(None, subnet.snapshot(subnet.time))
    return watched


async def test_the_running_miner_is_asked_through_its_socket(monitor: Monitor) -> None:
    live = LiveStatus(monitor, lambda: FACTS, Samples())
    found = await live.operations()[OPERATION]({"days": 1, "intervals": 20}, nothing)
    assert found["miner"]["hotkey"] == OWN
    assert found["standing"]["uid"] == 8
    assert found["chain"]["age"] == 5.0


async def test_the_doctor_and_the_status_show_the_same_pass(tmp_path: Path) -> None:
    """Between two passes nobody judges for himself; the doctor makes a new one, and the status has it too."""
    subnet, age, ticks = Subnet(1, uids=64), [5.0], count()
    sources = Sources(snapshot_age=lambda: age[0])
    monitor = Monitor(tmp_path, OWN, 72, sources, TrafficCounter(subnet.time), now=lambda: subnet.time)
    monitor.on_snapshot(None, subnet.snapshot(subnet.time))
    live = LiveStatus(monitor, lambda: FACTS, Samples(), clock=lambda: float(next(ticks)))
    told: list[object] = []
    monitor.add_listener(lambda findings, _: told.append(findings))
    assert (await live.snapshot())["findings"] == []
    age[0] = 4000.0
    found = await live.snapshot()
    assert (found["findings"], found["chain"]["age"], len(told)) == ([], 4000.0, 1)
    doctor = await monitor_operations(monitor)["findings"]({}, nothing)
    found = await live.snapshot()
    assert [finding["code"] for finding in found["findings"]] == ["metagraph_stale"]
    for part in ("findings", "unjudged", "diagnosis"):
        assert found[part] == doctor[part]
    assert len(told) == 2


async def test_many_watchers_cost_one_snapshot_a_second(monitor: Monitor) -> None:
    now, asked = 0.0, 0

    def facts() -> Any:
        nonlocal asked
        asked += 1
        return FACTS

    live = LiveStatus(monitor, facts, Samples(), clock=lambda: now)
    first, *others = await asyncio.gather(*(live.snapshot() for _ in range(20)))
    assert asked == 1
    assert all(other is first for other in others)
    now = 1.0
    assert await live.snapshot() is not first
    for days in (1.0, 2.0, 1.0, 2.0):
        await live.snapshot(Span(days))
    assert asked == 4


@pytest.mark.parametrize(
    "arguments",
    [
        {"days": 0},
        {"days": "7"},
        {"days": True},
        {"days": float("nan")},
        {"intervals": 10**9},
        {"x": 1},
        {"days": None},
    ],
)
def test_what_is_no_span(arguments: dict[str, Any]) -> None:
    with pytest.raises(OperatorError):
        span_of(arguments)


def test_what_is_a_span() -> None:
    assert span_of({}) == Span()
    assert span_of({"days": 3, "intervals": 10, "counted_days": 2.5}) == Span(3.0, 10, 2.5)


# -- the log of before -------------------------------------------------------------------------------------------------


def test_a_restart_remembers_who_asked(logbook: Logbook) -> None:
    logbook.write(*(logbook.record(b"a%d" % i, logbook.answer(0.7)) for i in range(5)), logbook.record(b"x"))
    found = remembered(logbook.folder, 0.0)
    assert [sample.probability for sample in found] == [0.7] * 5 + [None]
    assert [sample.time for sample in found] == sorted(sample.time for sample in found)
    assert found[0].uid == 12
    assert found[0].total == pytest.approx(0.0103)
    assert [s.time for s in remembered(logbook.folder, 0.0, most=2)] == [s.time for s in found[-2:]]
    assert remembered(logbook.folder, found[-1].time) == found[-1:]


def test_no_log_or_a_broken_one_is_no_hindrance(tmp_path: Path) -> None:
    assert remembered(tmp_path, 0.0) == ()
    (tmp_path / "predictions.sqlite").write_bytes(b"not a database" * 100)
    assert remembered(tmp_path, 0.0) == ()


# -- without a miner ---------------------------------------------------------------------------------------------------


@pytest.fixture
def settings(logbook: Logbook) -> Settings:
    """A state folder with the history of three days and a log."""
    seen = observed()
    history = History(logbook.state / "monitor", OWN, 72, now=lambda: seen.now)
    history.flush()
    history.points, history.buckets = seen.points, seen.traffic.buckets
    history._waiting = (list(seen.points), list(seen.traffic.buckets))
    history.close()
    logbook.moment = seen.now - 100.0
    logbook.write(*(logbook.record(b"a%d" % i, logbook.answer(0.6)) for i in range(3)))
    return Settings(state_dir=logbook.state)


def test_the_files_of_a_miner_that_is_gone(settings: Settings) -> None:
    seen = observed()
    found = status_from_files(settings, seen.now + 60.0, Span(90.0, 120, 90.0))
    assert found["miner"]["state"] == "stopped"
    assert found["miner"]["hotkey"] == OWN
    assert found["standing"] is not None
    assert found["standing"]["uid"] == 8
    assert found["counted"]["requests"] == sum(b.requests for b in seen.traffic.buckets)
    assert found["validators"][0]["requests"] == 3
    assert found["models"] is None
    later = status_from_files(settings, seen.now + 30 * DAY, Span(1.0, 10))
    assert later["series"] is None
    assert later["counted"]["requests"] == 0


def test_nothing_is_remembered(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"nothing is remembered of netuid 323 in .*: start the miner first"):
        status_from_files(Settings(state_dir=settings.state_dir, netuid=323), 1.8e9, Span())
    with pytest.raises(OperatorError, match="nothing is remembered of netuid 72"):
        status_from_files(Settings(state_dir=tmp_path / "none"), 1.8e9, Span())


def test_a_damaged_history_is_told(tmp_path: Path) -> None:
    (tmp_path / "history.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(OperatorError, match="cannot be read"):
        last_hotkey(tmp_path, 72)
