"""A keeper starts its miner, starts it again, takes over one that runs, and ends it in order."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from streetvision.base.start_steps import starting_in
from streetvision.errors import OperatorError
from streetvision.fleet import attempts, keeper
from streetvision.fleet.fleet_file import Fleet
from streetvision.fleet.keeper import Keeper
from streetvision.fleet.member import HANDED_FILE, Member
from streetvision.fleet.running import Running, adopt, holder, is_ready, start, turn_log

from .programs import DEAF, FAILS, HOLDS, STARTS, run_instead


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "LOOK_S", 0.02)
    for name, seconds in (("FIRST_PAUSE_S", 0.02), ("LONGEST_PAUSE_S", 0.05)):
        monkeypatch.setattr(attempts, name, seconds)


class Told:
    """What the operator would have been told."""

    def __init__(self) -> None:
        self.said: list[str | None] = []

    def __call__(self, member: Member, why: str | None) -> None:
        self.said.append(why)


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Its last entry is what the next start runs."""
    programs = [HOLDS]
    run_instead(monkeypatch, lambda: programs[-1])
    return programs


@pytest.fixture
async def kept(fleet: Fleet, program: list[str]) -> AsyncIterator[Keeper]:
    """A keeper at work."""
    one = Keeper(fleet.members[0], Told())
    task = asyncio.create_task(one.run())
    yield one
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await one.stop()


async def until(happened: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < limit
        await asyncio.sleep(0.01)


async def test_starts_it_and_sees_that_it_is_ready(kept: Keeper) -> None:
    await until(lambda: kept.kept.ready is not None)
    assert kept.settled.is_set()
    assert kept.kept.pid == holder(kept.member)
    assert os.getsid(kept.kept.pid or 0) == kept.kept.pid, "a session of its own"
    handed = kept.member.folder / HANDED_FILE
    assert handed.stat().st_mode & 0o777 == 0o600
    assert "MINER_AXON_PORT=18091" in handed.read_text()
    assert "METRICS_PORT=0" in handed.read_text()


async def test_a_killed_one_comes_back(kept: Keeper) -> None:
    await until(lambda: kept.kept.ready is not None)
    first = kept.kept.pid or 0
    os.kill(first, signal.SIGKILL)
    await until(lambda: kept.kept.restarts == 1 and kept.kept.ready is not None)
    assert kept.kept.pid != first
    assert kept.kept.why == "killed by SIGKILL"
    assert not kept._tell.said  # type: ignore[attr-defined]  # one crash heals by itself


async def test_one_that_does_not_start_is_tried_for_ever_and_told_once(kept: Keeper, program: list[str]) -> None:
    await until(lambda: kept.kept.ready is not None)
    program.append(FAILS)
    os.kill(kept.kept.pid or 0, signal.SIGKILL)
    await until(lambda: kept.kept.restarts >= 5)
    assert kept.kept.why == "exit code 1: Port 8091 is in use"
    assert kept._tell.said == [kept.kept.why]  # type: ignore[attr-defined]
    program.append(HOLDS)
    await until(lambda: kept.kept.ready is not None)


async def test_restart_ends_it_in_order_and_starts_it_with_the_new_settings(kept: Keeper, fleet: Fleet) -> None:
    await until(lambda: kept.kept.ready is not None)
    first = kept.kept.pid
    texts = {**fleet.members[0].texts, "threads": "1"}
    kept.restart(Member("hot1", fleet.members[0].settings, texts))
    await until(lambda: kept.kept.restarts == 1 and kept.kept.ready is not None)
    assert kept.kept.pid != first
    assert kept.kept.why == ""
    assert "MODEL_THREADS=1" in (kept.member.folder / HANDED_FILE).read_text()


async def test_restart_kills_one_that_hangs(kept: Keeper, program: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "STOP_S", 0.1)
    await until(lambda: kept.kept.ready is not None)
    program.append(DEAF)
    kept.restart(kept.member)
    await until(lambda: kept.kept.restarts == 1 and kept.kept.ready is not None)
    program.append(HOLDS)
    kept.restart(kept.member)
    await until(lambda: kept.kept.restarts == 2 and kept.kept.ready is not None)


async def test_restart_does_not_wait_for_the_pause(
    fleet: Fleet, program: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "FIRST_PAUSE_S", 3600.0)
    monkeypatch.setattr(attempts, "LONGEST_PAUSE_S", 3600.0)
    program.append(FAILS)
    one = Keeper(fleet.members[0], Told())
    task = asyncio.create_task(one.run())
    await until(lambda: one.kept.next_try is not None)
    program.append(HOLDS)
    one.restart(fleet.members[0])
    await until(lambda: one.kept.ready is not None)
    task.cancel()
    await one.stop()


async def test_one_that_runs_is_taken_over(fleet: Fleet, program: list[str]) -> None:
    member = fleet.members[0]
    before = start(member)
    await until(lambda: holder(member) == before.pid)
    one = Keeper(member, Told())
    task = asyncio.create_task(one.run())
    await until(lambda: one.kept.ready is not None)
    assert one.kept.pid == before.pid
    before.signal(signal.SIGKILL)
    assert await before.gone() == -signal.SIGKILL
    await until(lambda: one.kept.restarts == 1 and one.kept.ready is not None)
    task.cancel()
    await one.stop()
    assert holder(member) is None


async def test_one_that_is_still_starting_is_taken_over_too(fleet: Fleet, program: list[str]) -> None:
    program.append(STARTS)
    member = fleet.members[0]
    before = start(member)
    await until(lambda: starting_in(member.folder) is not None)
    assert holder(member) == before.pid
    taken = adopt(member)
    assert taken is not None
    assert (taken.pid, taken.is_adopted, is_ready(member, taken.pid)) == (before.pid, True, False)
    before.signal(signal.SIGKILL)
    assert await before.gone() == -signal.SIGKILL
    assert await taken.gone() is None


async def test_a_stale_lock_keeps_nobody_out(fleet: Fleet, program: list[str]) -> None:
    member = fleet.members[0]
    member.folder.mkdir(parents=True)
    (member.folder / "miner.lock").write_text("")
    (member.folder / "control.sock").write_text("")
    assert adopt(member) is None
    assert not is_ready(member, 1)


async def test_one_that_hears_no_signal_is_killed(
    fleet: Fleet, program: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "STOP_S", 0.2)
    program.append(DEAF)
    one = Keeper(fleet.members[0], Told())
    task = asyncio.create_task(one.run())
    await until(lambda: one.kept.ready is not None)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await one.stop()
    assert holder(one.member) is None


async def test_a_folder_that_cannot_be_made_is_a_failure_of_that_miner_alone(
    fleet: Fleet, program: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.state_dir.write_text("a file where the folder should be")
    one = Keeper(fleet.members[0], Told())
    task = asyncio.create_task(one.run())
    await until(lambda: one.kept.ended is not None)
    assert "cannot be made" in one.kept.why
    monkeypatch.setattr(attempts, "FIRST_PAUSE_S", 3600.0)
    monkeypatch.setattr(attempts, "LONGEST_PAUSE_S", 3600.0)
    one.restart(fleet.members[0])  # at once, and once: what was asked for must not become a busy loop
    await until(lambda: (one.kept.next_try or 0.0) > time.time() + 60)
    task.cancel()


async def test_a_process_that_has_ended_gets_no_signal(fleet: Fleet, program: list[str]) -> None:
    program.append(FAILS)
    running = start(fleet.members[0])
    assert await running.gone() == 1
    running.signal(signal.SIGTERM)
    with pytest.raises(ProcessLookupError):
        Running(2**22 + 1)


def test_a_large_log_is_set_aside_and_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "miner.log"
    turn_log(log, most=10)
    with log.open("ab") as writer:
        writer.write(b"0123456789ABC\n")
        writer.flush()
        turn_log(log, most=100)
        assert not (tmp_path / "miner.log.1").exists()
        turn_log(log, most=10)
        writer.write(b"more\n")
    assert (tmp_path / "miner.log.1").read_bytes() == b"0123456789ABC\n"
    assert log.read_bytes() == b"more\n"


def test_a_miner_whose_file_cannot_be_written(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("streetvision.fleet.running.subprocess.Popen", refuse)
    with pytest.raises(OperatorError, match=r"hot1 cannot be started in .* \(permission denied\)"):
        start(fleet.members[0])
