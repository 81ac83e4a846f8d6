"""`fleet up` as a whole, with small programs in place of miners."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from loguru import logger

from streetvision.base.state_folder import only_one
from streetvision.errors import ConfigError, OperatorError
from streetvision.fleet import attempts, keeper
from streetvision.fleet.asking import KEPT, RESTART, STOP, NotUp, ask, keeper_of, kept_by
from streetvision.fleet.fleet_file import Fleet, load_fleet
from streetvision.fleet.keeper import Keeper
from streetvision.fleet.overview import fleet_status
from streetvision.fleet.running import holder
from streetvision.fleet.supervisor import Supervisor, keep, show

from .conftest import THREE, Write
from .programs import FAILS, HOLDS, run_instead


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "LOOK_S", 0.02)
    monkeypatch.setattr(attempts, "FIRST_PAUSE_S", 0.02)
    run_instead(monkeypatch, lambda: HOLDS)


@pytest.fixture
async def up(fleet: Fleet) -> AsyncIterator[Supervisor]:
    """All three are ready."""
    supervisor, stop = Supervisor(fleet), asyncio.Event()
    task = asyncio.create_task(supervisor.run(stop))
    await until(lambda: all(kept.ready for kept in supervisor.kept().values()))
    yield supervisor
    stop.set()
    await task


async def until(happened: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < limit
        await asyncio.sleep(0.01)


async def test_one_that_is_killed_touches_no_other(up: Supervisor) -> None:
    before = {name: kept.pid for name, kept in up.kept().items()}
    os.kill(before["hot2"] or 0, signal.SIGKILL)
    await until(lambda: up.kept()["hot2"].restarts == 1 and up.kept()["hot2"].ready is not None)
    after = {name: kept.pid for name, kept in up.kept().items()}
    assert after["hot2"] != before["hot2"]
    assert (after["hot1"], after["hot3"]) == (before["hot1"], before["hot3"])


async def test_a_command_learns_what_the_keepers_know(up: Supervisor) -> None:
    assert await asyncio.to_thread(kept_by, up.fleet) == up.kept()
    assert keeper_of(up.fleet) == os.getpid()


async def test_restart_reads_the_file_anew(up: Supervisor, write: Write) -> None:
    before = up.kept()["hot3"].pid
    write(THREE + "threads = 1\n")
    await asyncio.to_thread(ask, up.fleet, RESTART, {"name": "hot3"})
    await until(lambda: up.kept()["hot3"].pid not in (before, None))
    assert up.keepers["hot3"].member.settings.threads == 1
    write(THREE + "thread = 1\n")
    with pytest.raises(OperatorError, match="did you mean threads"):
        await asyncio.to_thread(ask, up.fleet, RESTART, {"name": "hot3"})


async def test_one_that_is_new_in_the_file_begins_beside_the_others(up: Supervisor, write: Write) -> None:
    before = {name: kept.pid for name, kept in up.kept().items()}
    fleet = load_fleet(write(THREE + "[miners.hot4]\naxon.port = 0\n"), {})
    row = fleet_status(fleet, up.kept())["miners"][3]
    assert (row["state"], "`streetvision fleet restart hot4` starts it" in row["why"]) == ("stopped", True)
    await asyncio.to_thread(ask, up.fleet, RESTART, {"name": "hot4"})
    await until(lambda: up.kept()["hot4"].ready is not None)
    assert {name: kept.pid for name, kept in up.kept().items() if name != "hot4"} == before
    assert "/miners/hot4/" in up.site._routes


async def test_one_that_is_stopped_is_held_until_it_is_asked_for(
    up: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread(ask, up.fleet, STOP, {"name": "hot2"})
    await until(lambda: up.kept()["hot2"].pid is None)
    await asyncio.sleep(0.2)  # ten times the pause after which it would be started again
    kept = up.kept()["hot2"]
    assert (kept.pid, kept.held, kept.next_try, kept.why) == (None, True, None, "")
    assert fleet_status(up.fleet, up.kept())["miners"][1]["state"] == "stopped"
    await asyncio.to_thread(ask, up.fleet, RESTART, {"name": "hot2"})
    await until(lambda: up.kept()["hot2"].ready is not None)
    run_instead(monkeypatch, lambda: FAILS)
    os.kill(up.kept()["hot2"].pid or 0, signal.SIGKILL)
    await until(lambda: up.kept()["hot2"].next_try is not None)
    await asyncio.to_thread(ask, up.fleet, STOP, {"name": "hot2"})  # while it waits for its next try
    starts = up.kept()["hot2"].restarts
    await asyncio.sleep(0.3)
    assert up.kept()["hot2"].restarts <= starts + 1
    assert (up.kept()["hot2"].pid, up.kept()["hot2"].next_try) == (None, None)
    with pytest.raises(OperatorError, match="no miner 'hot9' is kept here; there are hot1, hot2, hot3"):
        await asyncio.to_thread(ask, up.fleet, STOP, {"name": "hot9"})


async def test_a_second_fleet_is_refused_and_a_stop_ends_all(fleet: Fleet) -> None:
    supervisor, stop = Supervisor(fleet), asyncio.Event()
    task = asyncio.create_task(supervisor.run(stop))
    await until(lambda: all(kept.ready for kept in supervisor.kept().values()))
    with pytest.raises(OperatorError, match=r"another fleet is running in .*`streetvision fleet down` stops it"):
        await Supervisor(fleet).run(asyncio.Event())
    stop.set()
    await task
    assert [holder(member) for member in fleet.members] == [None] * 3
    with pytest.raises(NotUp, match=r"no fleet is up in .* start it with `streetvision fleet up"):
        await asyncio.to_thread(ask, fleet, KEPT)


async def test_a_stop_while_they_start_ends_those_that_began(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streetvision.fleet.supervisor.usable_threads", lambda: 1)
    run_instead(monkeypatch, lambda: "import time; time.sleep(60)")
    supervisor, stop = Supervisor(fleet), asyncio.Event()
    task = asyncio.create_task(supervisor.run(stop))
    await until(lambda: supervisor.kept()["hot1"].pid is not None)
    pid = supervisor.kept()["hot1"].pid or 0
    stop.set()
    await task
    assert supervisor.kept()["hot2"].started is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_lock_that_somebody_left_keeps_nobody_out(fleet: Fleet) -> None:
    with only_one(fleet.state_dir, "fleet"):
        pass
    stop = asyncio.Event()
    stop.set()
    await Supervisor(fleet).run(stop)


async def test_a_defect_in_one_keeping_leaves_the_others_kept(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    run, lines = Keeper.run, list[str]()

    async def broken(self: Keeper) -> None:
        if self.member.name == "hot1":
            raise ValueError("a defect")
        await run(self)

    monkeypatch.setattr(Keeper, "run", broken)
    logger.add(lines.append, format="{message}")
    supervisor, stop = Supervisor(fleet), asyncio.Event()
    task = asyncio.create_task(supervisor.run(stop))
    await until(lambda: all(supervisor.kept()[name].ready for name in ("hot2", "hot3")))
    stop.set()
    await task
    logger.remove()
    assert any("hot1: a defect ended its keeping" in str(line) for line in lines)


async def test_a_folder_that_cannot_be_made(fleet: Fleet) -> None:
    with pytest.raises(OperatorError, match=r"/proc/x cannot be made .* name another with state_dir in \[fleet\]"):
        await keep(replace(fleet, state_dir=Path("/proc/x")))


async def test_serving_alone_needs_a_port(fleet: Fleet, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is nothing to serve"):
        await show(fleet)
