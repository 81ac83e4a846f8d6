"""A serving model that falls sick is rolled back to the last good one, never in a loop or for others' faults."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from typing import Any

import numpy as np
import pytest
from PIL import Image

from streetvision.engine.types import EngineError, Prediction, RunnerFailure
from streetvision.errors import OperatorError
from streetvision.miner.monitoring import rollout_view
from streetvision.monitor.observation import RolloutView

from .conftest import House

SICK: dict[str, dict[str, Any]] = {
    "nan": {"answer": lambda means: means * np.nan},
    "raises": {"raises": RunnerFailure("device error")},
    "a defect": {"raises": KeyError("oops")},
    "constant": {"answer": lambda means: 0 * means + 0.25},
    "wrong shape": {"answer": lambda means: means[:, None]},
}


async def serve(house: House, *versions: str) -> None:
    for version in versions:
        house.add(version)
        await house.manager.swap(version)


def turn(model: Any, sickness: dict[str, Any]) -> None:
    for name, value in sickness.items():
        setattr(model, name, value)


@pytest.mark.parametrize("sickness", SICK)
async def test_a_model_that_falls_sick_is_rolled_back_within_seconds(house: House, sickness: str) -> None:
    await serve(house, "1.1.0")
    await house.ask_many(10)
    turn(house.models["1.1.0"], SICK[sickness])
    await house.ask_many(12)
    await house.manager.tick()
    assert house.manager.active == "1.0.0"
    assert all(isinstance(answer, Prediction) for answer in await house.ask_many(5))
    entry = house.journal()[-1]
    assert (entry["event"], entry["version"], entry["by"], entry["to"]) == ("rollback", "1.1.0", "health", "1.0.0")
    assert "1.1.0" in house.manager.status()["bad"]
    await house.reopen()
    assert house.manager.active == "1.0.0"


async def test_one_failure_is_enough_if_the_golden_pictures_fail_too(house: House) -> None:
    """At a few requests a minute nobody may wait for statistics."""
    await serve(house, "1.1.0")
    house.models["1.1.0"].raises = RunnerFailure("device error")
    await house.ask_many(1)
    await house.manager.tick()
    assert house.manager.active == "1.0.0"
    assert "failed on golden pictures (device error)" in house.journal()[-1]["why"]


async def test_a_model_that_hangs_is_rolled_back(house: House) -> None:
    object.__setattr__(house.policy, "deadline_s", 0.4)
    await serve(house, "1.1.0")
    house.models["1.1.0"].gate = threading.Event()
    with pytest.raises(EngineError):
        await house.ask(seconds=0.2)
    await house.settled()
    await house.manager.tick()
    assert house.manager.active == "1.0.0"
    assert (await house.ask()).model_version == "1.0.0"
    house.models["1.1.0"].gate.set()


async def test_a_model_that_becomes_too_slow_is_rolled_back(house: House) -> None:
    object.__setattr__(house.policy, "deadline_s", 0.2)
    await serve(house, "1.1.0")
    house.models["1.1.0"].seconds = 0.15
    answers = [await house.try_to_ask(seconds=0.18) for _ in range(25)]
    assert any(isinstance(answer, Prediction) for answer in answers)
    await house.settled()
    await house.manager.tick()
    assert house.manager.active == "1.0.0"
    assert "too slow" in house.journal()[-1]["why"]


async def test_a_model_that_fails_on_some_images_only_is_rolled_back_by_their_number(house: House) -> None:
    """The golden pictures are answered well: five different images that fail are what condemns it."""
    await serve(house, "1.1.0")
    model = house.models["1.1.0"]

    def picky(means: np.ndarray) -> np.ndarray:
        return np.where(means < 20, np.nan, (means - 100.0) / 20.0)

    model.answer = picky
    failures = 0
    while house.manager.active == "1.1.0":
        answers = await house.ask_many(1)
        failures += isinstance(answers[0], EngineError)
        await house.manager.tick()
        house.clock.time += 0.5
        assert failures < 20
    assert failures >= 5
    assert f"failed on {failures} different images" in house.journal()[-1]["why"]


async def test_one_image_that_always_fails_condemns_nobody(house: House) -> None:
    await serve(house, "1.1.0")
    house.models["1.1.0"].answer = lambda means: np.where(means < 0.5, np.nan, (means - 100.0) / 20.0)
    black = io.BytesIO()
    Image.new("L", (32, 32), 0).save(black, "PNG")
    for _ in range(40):
        with pytest.raises(EngineError):
            await house.engine.predict(black.getvalue(), deadline=time.monotonic() + 5, priority=0.0)
        await house.manager.tick()
        house.clock.time += 1
    assert house.manager.active == "1.1.0"


async def test_bad_images_condemn_nobody(house: House) -> None:
    await serve(house, "1.1.0")
    for number in range(50):
        with pytest.raises(EngineError):
            await house.engine.predict(b"no image %d" % number, deadline=time.monotonic() + 5, priority=0.0)
    calls = house.models["1.1.0"].calls
    await house.manager.tick()
    assert house.manager.active == "1.1.0"
    assert house.models["1.1.0"].calls == calls, "nor are they a reason to look at the model"


async def test_overload_condemns_nobody(house: House) -> None:
    await serve(house, "1.1.0")
    house.models["1.1.0"].seconds = 0.02
    burst = await asyncio.gather(*(house.ask(seconds=0.15) for _ in range(80)), return_exceptions=True)
    assert sum(isinstance(answer, EngineError) for answer in burst) > 5
    for _ in range(5):
        await house.manager.tick()
        house.clock.time += 5
    assert house.manager.active == "1.1.0"


async def test_pictures_that_all_look_alike_condemn_nobody(house: House) -> None:
    """Twenty black files of different bytes: one answer is right for all of them."""
    await serve(house, "1.1.0")
    for number in range(20):
        out = io.BytesIO()
        Image.new("L", (32 + number, 32), 0).save(out, "PNG")
        await house.engine.predict(out.getvalue(), deadline=time.monotonic() + 5, priority=0.0)
    await house.settled()
    calls = house.models["1.1.0"].calls
    await house.manager.tick()
    assert house.models["1.1.0"].calls > calls, "it was shown golden pictures"
    assert house.manager.active == "1.1.0"
    calls = house.models["1.1.0"].calls
    for _ in range(30):
        house.clock.time += 1
        await house.manager.tick()
    assert house.models["1.1.0"].calls == calls, "and was not shown them again for the same reason"


async def test_when_the_device_is_broken_nothing_is_marked_and_it_is_said_loudly(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """The standby fails too: going back and forth between sick models would help nobody."""
    await serve(house, "1.1.0")
    house.models["1.1.0"].raises = house.start.raises = RunnerFailure("the GPU fell off the bus")
    await house.ask_many(10)
    for _ in range(60):
        await house.manager.tick()
        house.clock.time += 1
    assert house.manager.active == "1.1.0"
    assert house.manager.status()["bad"] == {}
    assert "cannot be rolled back" in house.manager.status()["stuck"]
    assert house.metric("stuck") == 1
    assert [event for event, _ in house.events()].count("stuck") == 1
    assert sum("IS SICK" in record.message for record in caplog.records) == 1
    house.models["1.1.0"].raises = house.start.raises = None
    await house.ask_many(300)
    house.clock.time += 700
    await house.ask_many(25)
    await house.manager.tick()
    assert house.manager.status()["stuck"] is None
    assert house.metric("stuck") == 0


async def test_the_monitor_sees_trials_and_rollbacks(house: House) -> None:
    assert rollout_view(house.manager.status()) == RolloutView("idle")
    await serve(house, "1.1.0")
    house.add("1.2.0")
    await house.manager.shadow("1.2.0")
    assert rollout_view(house.manager.status()) == RolloutView("shadow", "1.2.0")
    await house.manager.canary("1.2.0")
    assert rollout_view(house.manager.status()) == RolloutView("canary", "1.2.0")
    await house.manager.rollback()
    assert rollout_view(house.manager.status()) == RolloutView("idle"), "the operator knows"
    house.models["1.1.0"].raises = RunnerFailure("device error")
    await house.ask_many(1)
    await house.manager.tick()
    seen = rollout_view(house.manager.status())
    assert (seen.state, seen.version, seen.since) == ("rolled_back", "1.1.0", 1_800_000_000.0)
    assert "failed on golden pictures" in seen.reason


async def test_with_no_other_version_it_keeps_serving_and_says_so(house: House) -> None:
    house.start.raises = RunnerFailure("device error")
    await house.ask_many(6)
    await house.manager.tick()
    assert house.manager.active == "1.0.0"
    assert "no other good version has served" in house.manager.status()["stuck"]


async def test_rollbacks_end_at_the_oldest_good_version(house: House) -> None:
    """Each version that served is sick in turn; every one is left once and none is returned to."""
    await serve(house, "1.1.0", "1.2.0", "1.3.0")
    order = []
    for _ in range(6):
        active = house.manager.active
        order.append(active)
        model = house.models.get(active, house.start)
        model.answer = lambda means: np.where(means < 60, np.nan, (means - 100.0) / 20.0)
        for _ in range(20):
            if house.manager.active == active:
                await house.ask_many(4)
                house.clock.time += 1
                await house.manager.tick()
    assert order[:4] == ["1.3.0", "1.2.0", "1.1.0", "1.0.0"]
    assert set(order[4:]) == {"1.0.0"}
    assert set(house.manager.status()["bad"]) == {"1.1.0", "1.2.0", "1.3.0"}


async def test_an_operation_that_runs_gives_way_to_a_rollback(house: House) -> None:
    await serve(house, "1.1.0")
    slow = house.add("1.2.0", gate=threading.Event())
    swap = asyncio.create_task(house.manager.swap("1.2.0"))
    await house.until(lambda: slow.calls > 0)
    house.models["1.1.0"].raises = RunnerFailure("device error")
    await house.ask_many(2)
    slow.gate.set()
    slow.seconds = 0.05
    await house.manager.tick()
    assert house.manager.active in ("1.0.0", "1.2.0")
    outcome = (await asyncio.gather(swap, return_exceptions=True))[0]
    if house.manager.active == "1.0.0":
        assert isinstance(outcome, OperatorError)
        assert "The swap to 1.2.0 was stopped: the serving version 1.1.0 is sick" in str(outcome)
    assert house.manager.status()["operation"] is None


async def test_a_trial_ends_when_the_model_it_is_compared_with_is_left(house: House) -> None:
    await serve(house, "1.1.0")
    house.add("1.2.0")
    await house.manager.shadow("1.2.0")
    house.models["1.1.0"].raises = RunnerFailure("device error")
    await house.ask_many(3)
    await house.manager.tick()
    assert house.manager.active == "1.0.0"
    assert house.manager.status()["candidate"] is None
    assert house.events()[-2:] == [("stopped", "1.2.0"), ("rollback", "1.1.0")]
    assert "1.2.0" not in house.manager.status()["bad"]


async def test_a_sick_model_is_left_without_its_standby_too(house: House) -> None:
    await serve(house, "1.1.0")
    house.clock.time += house.policy.keep_s + 1
    await house.manager.tick()
    house.models["1.1.0"].raises = RunnerFailure("device error")
    await house.ask_many(1)
    await house.manager.tick()
    assert house.manager.active == "1.0.0"
    assert house.start.loaded == 2


async def test_run_ticks_once_a_second_and_survives_what_an_operator_can_mend(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            raise asyncio.CancelledError

    async def broken() -> None:
        raise OperatorError("The disk is full.")

    monkeypatch.setattr(house.manager, "_sleep", nap)
    monkeypatch.setattr(house.manager._autopilot, "look", broken)
    with pytest.raises(asyncio.CancelledError):
        await house.manager.run()
    assert naps == [1.0, 1.0, 1.0]
