"""Shadow and canary over the real engine: gates that promote or roll back by themselves."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import Any

import numpy as np
import pytest

from streetvision.engine.types import EngineError, RunnerFailure
from streetvision.errors import OperatorError

from .conftest import House, versions


async def test_a_repeated_image_counts_once(house: House) -> None:
    house.add("1.1.0")
    await house.manager.shadow("1.1.0")
    for _ in range(30):
        await house.ask(7)
    await house.settled()
    assert house.manager.status()["candidate"]["report"]["samples"] == 1


async def test_a_shadow_that_passes_is_written_down_once_and_goes_on(house: House) -> None:
    house.add("1.1.0")
    await house.manager.shadow("1.1.0")
    await house.ask_many(45)
    await house.manager.tick()
    await house.manager.tick()
    assert house.events() == [("shadow", "1.1.0"), ("shadow_passed", "1.1.0")]
    assert house.manager.active == "1.0.0"
    assert house.manager.status()["candidate"]["passed"] is True
    passed = house.journal()[-1]
    assert "45 of 45" in passed["evidence"][0]
    assert passed["report"]["samples"] == 45


@pytest.mark.parametrize("by", ["gates", "operator"])
async def test_a_version_that_was_removed_while_it_was_tried_is_not_promoted(house: House, by: str) -> None:
    house.add("1.1.0")
    await house.manager.canary("1.1.0", 1.0)
    house.registry.remove("1.1.0")
    if by == "gates":
        await house.ask_many(60)
        await house.manager.tick()
        assert house.events()[-1] == ("stopped", "1.1.0")
        assert "There is no model version '1.1.0'" in house.journal()[-1]["why"]
    else:
        with pytest.raises(OperatorError, match=r"was not put on, and 1\.0\.0 goes on serving: There is no model ver"):
            await house.manager.promote()
        await house.manager.stop_shadow()
    assert house.registry.steps() == ()
    assert versions(await house.ask_many(5)) == {"1.0.0"}


async def test_a_good_canary_is_promoted_by_its_gates_with_evidence(house: House) -> None:
    house.add("1.1.0")
    await house.manager.canary("1.1.0", 0.5)
    answers = await house.ask_many(60)
    assert versions(answers) == {"1.0.0", "1.1.0"}
    await house.manager.tick()
    assert house.manager.active == "1.0.0", "too few samples yet"
    assert "of 40 different images were compared" in house.manager.status()["candidate"]["evidence"][0]
    await house.ask_many(60)
    await house.manager.tick()
    assert house.manager.active == house.registry.active() == "1.1.0"
    assert versions(await house.ask_many(5)) == {"1.1.0"}
    entry = house.journal()[-1]
    assert (entry["event"], entry["by"], entry["before"]) == ("promote", "gates", "1.0.0")
    assert entry["report"]["agreement"] == 1.0
    assert any("p99" in line for line in entry["evidence"])
    assert house.manager.status()["standby"]["version"] == "1.0.0"
    assert house.models["1.1.0"].loaded == 1


async def test_a_repeated_image_is_always_answered_by_the_same_model(house: House) -> None:
    house.add("1.1.0")
    await house.manager.canary("1.1.0", 0.5)
    for number in range(10):
        assert len({(await house.ask(number)).model_version for _ in range(4)}) == 1


TURNS: dict[str, tuple[dict[str, Any], str]] = {
    "nan": ({"answer": lambda means: means * np.nan}, r"it failed on \d+ of \d+ images"),
    "raises": ({"raises": RunnerFailure("device error")}, r"it failed on \d+ of \d+ images"),
    "a defect": ({"raises": KeyError("oops")}, r"it failed on \d+ of \d+ images"),
    "wrong shape": ({"answer": lambda means: means[:, None]}, r"it failed on \d+ of \d+ images"),
    "constant": ({"answer": lambda means: 0 * means + 0.25}, r"same answer to the last 20 different images"),
    "other decisions": ({"answer": lambda means: -(means - 100) / 20}, r"it agrees on \d+ of \d+ images"),
}


@pytest.mark.parametrize("role", ["canary", "shadow"])
@pytest.mark.parametrize("turn", TURNS)
async def test_a_candidate_that_goes_bad_is_ended_by_its_gates(house: House, turn: str, role: str) -> None:
    """It passes the golden check and turns bad afterwards, so that only the gates can catch it."""
    behaviour, says = TURNS[turn]
    model = house.add("1.1.0")
    await getattr(house.manager, role)("1.1.0", 1.0)
    for name, value in behaviour.items():
        setattr(model, name, value)
    answers = await house.ask_many(60)
    failures = [answer for answer in answers if isinstance(answer, EngineError)]
    assert not failures, "the active model stands in for a canary that fails"
    await house.manager.tick()
    status = house.manager.status()
    assert status["candidate"] is None
    assert status["active"]["version"] == "1.0.0"
    entry = house.journal()[-1]
    assert (entry["event"], entry["by"]) == ("rollback" if role == "canary" else "shadow_failed", "gates")
    assert re.search(says, " ".join(entry["evidence"])), entry["evidence"]
    assert ("1.1.0" in status["bad"]) == (role == "canary")
    await house.manager.freed()
    assert model.closed == 1
    assert versions(await house.ask_many(5)) == {"1.0.0"}
    assert house.registry.active() is None


async def test_a_slow_canary_is_rolled_back_and_nobody_was_late(house: House) -> None:
    object.__setattr__(house.policy.gates, "harmless_s", 0.01)
    model = house.add("1.1.0")
    await house.manager.canary("1.1.0", 0.5)
    model.seconds = 0.05
    for _ in range(6):  # on a busy machine the active model is slow too, and it takes more to tell them apart
        answers = await house.ask_many(60)
        await house.manager.tick()
        if house.manager.status()["candidate"] is None:
            break
        assert versions(answers) == {"1.0.0", "1.1.0"}
    assert "took longer than" in house.journal()[-1]["why"]
    assert house.manager.status()["candidate"] is None


async def test_a_canary_that_hangs_is_rolled_back_and_its_callers_are_answered(house: House) -> None:
    model = house.add("1.1.0")
    await house.manager.canary("1.1.0", 1.0)
    model.gate = threading.Event()
    for number in range(6):
        assert (await house.ask(number, seconds=0.3)).model_version == "1.0.0"
    await house.settled()
    await house.manager.tick()
    assert "too late for" in house.journal()[-1]["why"]
    assert house.manager.status()["candidate"] is None
    model.gate.set()


async def test_bad_images_and_missed_deadlines_are_not_the_candidates_fault(house: House) -> None:
    house.add("1.1.0")
    await house.manager.canary("1.1.0", 1.0)
    loop = asyncio.get_running_loop()
    for number in range(30):
        with pytest.raises(EngineError):
            await house.engine.predict(b"no image %d" % number, deadline=loop.time() + 5, priority=0.0)
    await house.settled()
    await house.manager.tick()
    report = house.manager.status()["candidate"]["report"]
    assert report["failed_images"] == report["late"] == 0


async def test_a_promotion_that_cannot_be_written_ends_the_trial_and_says_so(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.add("1.1.0")
    await house.manager.canary("1.1.0", 1.0)
    await house.ask_many(45)

    def full(*args: object, **options: object) -> None:
        raise OperatorError("Moving the pointer failed: the disk is full.")

    monkeypatch.setattr(house.registry, "activate", full)
    await house.manager.tick()
    assert house.manager.active == "1.0.0"
    assert house.events()[-2:] == [("failed", "1.1.0"), ("stopped", "1.1.0")]
    await house.manager.freed()
    assert versions(await house.ask_many(5)) == {"1.0.0"}
    assert len(house.engine.lanes) == 1
