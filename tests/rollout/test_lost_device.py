"""A lost device: the same version goes on serving by another lane, and no model is blamed."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from streetvision.engine import device_health
from streetvision.engine.device_health import HUNG_BEATS
from streetvision.engine.types import DeviceLost, EngineError
from streetvision.errors import EXIT_RESTART, OperatorError, RestartNeeded
from streetvision.rollout.device_guard import DeviceGuard, LostDevice

from .conftest import FakeRunner, House, honest, open_gate

LOST = RuntimeError("CUDA error: unspecified launch failure")
FULL = RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")


def guard_of(house: House, *, cpu: Exception | None = None, lost: LostDevice | None = None) -> DeviceGuard:
    """A guard whose CPU does what the lost device did not, or fails with `cpu`."""

    async def move(why: str) -> None:
        for model in (house.start, *house.models.values()):
            model.raises, model.fails_to_load, model.gate = cpu, None, open_gate()
        await house.manager.reopen(why)

    return DeviceGuard(house.engine, move, lost=lost, now=lambda: 5.0)


def is_lost(guard: DeviceGuard) -> bool:
    return guard.lost is not None


async def serve(house: House, version: str) -> None:
    house.add(version)
    await house.manager.swap(version)


def events(house: House) -> list[tuple[str, str]]:
    return [(entry["event"], entry["by"]) for entry in house.journal()]


async def test_the_same_version_serves_on_and_is_not_blamed(house: House) -> None:
    await serve(house, "1.1.0")
    guard, before = guard_of(house), house.engine.route.active
    await guard.look()
    assert not is_lost(guard)
    house.models["1.1.0"].raises = LOST
    assert [type(answer) for answer in await house.ask_many(12)] == [DeviceLost] * 12
    await house.manager.tick()
    assert (house.manager.active, house.manager.stuck) == ("1.1.0", None), "a sick device is no sick model"
    await guard.look()
    assert guard.lost == LostDevice(5.0, str(LOST), on_cpu=True)
    assert house.engine.route.active is not before
    assert (await house.ask()).model_version == "1.1.0"
    await house.manager.tick()
    assert events(house) == [("swap", "operator"), ("reopened", "health")]
    assert house.manager.status()["bad"] == {}
    await house.manager.freed()
    assert [lane.version for lane in house.engine.lanes] == ["1.1.0"], "nothing of the lost device is kept"
    house.add("1.2.0")
    await house.manager.swap("1.2.0")
    assert (await house.ask()).model_version == "1.2.0"
    await house.reopen()
    assert house.manager.active == "1.2.0"


@pytest.mark.parametrize("role", ["canary", "shadow"])
async def test_a_candidate_that_finds_it_first_is_not_blamed(house: House, role: str) -> None:
    house.add("1.1.0")
    await getattr(house.manager, role)("1.1.0", 1.0)
    house.models["1.1.0"].raises = LOST
    await house.ask_many(3)
    guard = guard_of(house)
    await guard.look()
    assert is_lost(guard)
    assert house.manager.status()["candidate"] is None
    assert house.manager.status()["bad"] == {}
    assert events(house) == [(role, "operator"), ("stopped", "health"), ("reopened", "health")]
    assert (await house.ask()).model_version == "1.0.0"


@pytest.mark.parametrize("when", ["fails_to_load", "fails_to_warm", "raises"])
async def test_a_version_that_is_being_prepared_is_not_blamed(house: House, when: str) -> None:
    setattr(house.add("1.1.0"), when, LOST)
    with pytest.raises(OperatorError, match="the device that the model runs on is lost"):
        await house.manager.swap("1.1.0")
    assert events(house) == []
    guard = guard_of(house)
    await guard.look()
    assert is_lost(guard)
    assert (await house.ask()).model_version == "1.0.0"


async def test_the_golden_check_finds_it_first(house: House) -> None:
    """The serving lane hears of it at once, and not by the next challenge, which would be lost."""
    model = house.add("1.1.0")

    def dies(means: np.ndarray) -> np.ndarray:
        if model.calls > len(FakeRunner.buckets):
            raise LOST
        return honest(means)

    model.answer = dies
    with pytest.raises(OperatorError, match="the device that the model runs on is lost"):
        await house.manager.swap("1.1.0")
    guard = guard_of(house)
    await guard.look()
    assert is_lost(guard)
    assert house.manager.status()["bad"] == {}


async def test_memory_that_stays_short(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_health, "STRAINED_SECONDS", 0.0)
    house.start.raises = FULL
    guard = guard_of(house)
    await house.ask_many(2)
    await guard.look()
    assert not is_lost(guard)
    await house.ask_many(1)
    await guard.look()
    assert is_lost(guard)
    assert (await house.ask()).model_version == "1.0.0"


async def test_a_device_that_hangs_while_a_rollback_waits_for_it(house: House) -> None:
    """The rollback would wait for ever, and blame the version that served when the device hung."""
    object.__setattr__(house.policy, "deadline_s", 0.2)
    await serve(house, "1.1.0")
    await house.manager.tick()
    house.manager._deployment.drop_standby()
    await house.manager.freed()
    gate = threading.Event()
    house.start.gate = house.models["1.1.0"].gate = gate
    with pytest.raises(EngineError):
        await house.ask(seconds=0.1)
    tick = asyncio.create_task(house.manager.tick())
    while (house.manager.status()["operation"] or {}).get("name") != "the automatic rollback":
        await asyncio.sleep(0.01)
    guard = guard_of(house)
    for _ in range(HUNG_BEATS):
        await guard.look()
    assert not is_lost(guard)
    waiting = asyncio.create_task(house.ask(seconds=60.0))
    while not house.engine.stats().queued:
        await asyncio.sleep(0.01)
    await guard.look()
    with pytest.raises(DeviceLost):
        await asyncio.wait_for(waiting, 5.0)
    await tick
    assert guard.lost == LostDevice(5.0, f"a forward pass has not ended for {HUNG_BEATS} s", on_cpu=True)
    assert (await house.ask()).model_version == "1.1.0"
    assert house.manager.status()["bad"] == {}
    gate.set()


async def test_without_a_lane_only_another_process_can_serve(house: House) -> None:
    house.start.raises = LOST
    await house.ask_many(1)
    guard = guard_of(house, cpu=RuntimeError("no room"))
    with pytest.raises(RestartNeeded, match=r"the device is lost \(CUDA error: .*the CPU cannot serve .*dmesg") as told:
        await guard.look()
    assert told.value.exit_code == EXIT_RESTART
    assert guard.lost == LostDevice(5.0, str(LOST), on_cpu=False)


async def test_a_stand_in_that_hangs_while_it_is_made_ready(house: House) -> None:
    house.start.raises = LOST
    await house.ask_many(1)
    gate = threading.Event()

    async def move(why: str) -> None:
        house.start.raises, house.start.gate = None, gate
        await house.manager.reopen(why)

    guard = DeviceGuard(house.engine, move, patience=0.2)
    with pytest.raises(RestartNeeded, match="it is not ready after"):
        await guard.look()
    assert not house.manager.status()["operation"]
    gate.set()


async def test_a_stand_in_that_is_lost_too(house: House) -> None:
    house.start.raises = LOST
    await house.ask_many(1)
    with pytest.raises(RestartNeeded, match="so is its stand-in"):
        await guard_of(house, lost=LostDevice(1.0, "since the start", on_cpu=True)).look()
