"""Who is on, on standby and tried; and a pointer that cannot be written at any step."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from streetvision.errors import OperatorError

from .conftest import House


async def test_the_former_model_is_kept_for_its_time_and_then_freed(house: House) -> None:
    house.add("1.1.0")
    await house.manager.swap("1.1.0")
    assert house.manager.status()["standby"]["version"] == "1.0.0"
    house.clock.time += house.policy.keep_s - 1
    await house.manager.tick()
    assert len(house.engine.lanes) == 2
    house.clock.time += 2
    await house.manager.tick()
    await house.manager.freed()
    assert [lane.version for lane in house.engine.lanes] == ["1.1.0"]
    assert house.start.closed == 1
    assert house.manager.status()["standby"] is None


async def test_a_swap_back_to_the_standby_reuses_it(house: House) -> None:
    house.add("1.1.0")
    house.add("1.2.0")
    await house.manager.swap("1.1.0")
    await house.manager.swap("1.2.0")
    await house.manager.swap("1.1.0")
    assert house.models["1.1.0"].loaded == 1
    assert house.manager.status()["standby"]["version"] == "1.2.0"


async def test_a_swap_stopped_while_it_writes_the_pointer_is_finished_and_written_down(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.add("1.1.0")
    writing, go_on = threading.Event(), threading.Event()
    move = house.registry._move

    def slowly(*args: Any, **options: Any) -> None:
        writing.set()
        assert go_on.wait(20)
        move(*args, **options)

    monkeypatch.setattr(house.registry, "_move", slowly)
    swap = asyncio.create_task(house.manager.swap("1.1.0"))
    await house.until(writing.is_set)
    swap.cancel()
    await asyncio.sleep(0.01)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await swap
    assert house.manager.active == house.registry.active() == "1.1.0"
    assert house.events() == [("swap", "1.1.0")]
    assert house.manager.status()["standby"]["version"] == "1.0.0"


async def test_a_pointer_that_cannot_be_written_leaves_the_old_model_serving(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.add("1.1.0")

    def full(*args: object, **options: object) -> None:
        raise OperatorError("Moving the pointer failed: the disk is full.")

    monkeypatch.setattr(house.registry, "activate", full)
    with pytest.raises(OperatorError, match=r"1\.1\.0 was not put on, and 1\.0\.0 goes on serving: .*disk is full"):
        await house.manager.swap("1.1.0")
    assert (await house.ask()).model_version == "1.0.0"
    await house.manager.freed()
    assert house.models["1.1.0"].closed == 1
    assert len(house.engine.lanes) == 1
    assert house.events() == [("failed", "1.1.0")]


async def test_a_promotion_that_cannot_be_written_leaves_the_trial_as_it_was(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.add("1.1.0")
    await house.manager.canary("1.1.0", 1.0)

    def full(*args: object, **options: object) -> None:
        raise OperatorError("Moving the pointer failed: the disk is full.")

    monkeypatch.setattr(house.registry, "activate", full)
    with pytest.raises(OperatorError, match=r"1\.1\.0 was not put on"):
        await house.manager.promote()
    assert house.engine.route.canary is not None
    assert house.engine.route.canary.version == "1.1.0"
    assert house.engine.route.active.version == "1.0.0"
    monkeypatch.undo()
    await house.manager.promote()
    assert house.manager.active == "1.1.0"


async def test_a_pointer_that_a_rollback_could_not_write_is_written_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("1.1.0", "1.2.0"):
        house.add(version)
        await house.manager.swap(version)

    def full(*args: object, **options: object) -> None:
        raise OperatorError("Moving the pointer failed: the disk is full.")

    monkeypatch.setattr(house.registry, "activate", full)
    await house.manager.rollback()
    await house.manager.tick()
    assert (house.manager.active, house.registry.active()) == ("1.1.0", "1.2.0")
    monkeypatch.undo()
    await house.manager.tick()
    assert house.registry.active() == "1.1.0"


async def test_a_rollback_goes_on_though_nothing_can_be_written(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.add("1.1.0")
    await house.manager.swap("1.1.0")

    def full(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("streetvision.base.disk.os.fsync", full)
    monkeypatch.setattr("streetvision.rollout.journal.os.fsync", full)
    await house.manager.rollback()
    assert (await house.ask()).model_version == "1.0.0"
    assert "1.1.0" in house.manager.status()["bad"]
    monkeypatch.undo()
