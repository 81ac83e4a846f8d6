"""Shadow and canary over the real engine: reports, and gates that promote or roll back by themselves."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from typing import Any

import numpy as np
import pytest

from streetvision.engine.types import EngineError, RunnerFailure
from streetvision.errors import OperatorError

from .conftest import House


def versions(answers: list[Any]) -> set[str]:
    assert not [answer for answer in answers if isinstance(answer, EngineError)]
    return {answer.model_version for answer in answers}


async def test_a_shadow_answers_nobody_and_reports(house: House) -> None:
    house.recorded["1.1.0"] = lambda means: (means - 100.0) / 20.0 + 0.5
    house.add("1.1.0", answer=house.recorded["1.1.0"])
    await house.manager.shadow("1.1.0")
    assert versions(await house.ask_many(30)) == {"1.0.0"}
    candidate = house.manager.status()["candidate"]
    report = candidate["report"]
    assert (candidate["version"], candidate["role"], candidate["verdict"]) == ("1.1.0", "shadow", "wait")
    assert (report["samples"], report["images"]) == (30, 30)
    assert report["score_shift"] == pytest.approx(0.5, abs=1e-4)
    assert 0 < report["probability_shift"]["mean"] <= report["probability_shift"]["p95"] <= 0.13
    assert report["agreed"] == round(report["agreement"] * 30) <= 30
    assert report["latency"]["p50"] <= report["latency"]["p99"]
    assert report["active_latency"]["p99"] > 0
    assert json.loads(json.dumps(house.manager.status())) == house.manager.status()
    await house.manager.tick()
    assert house.metric("candidate_samples") == 30
    assert house.metric("candidate_share", version="1.1.0", role="shadow") == 1


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


async def test_a_canary_that_was_rolled_back_is_marked_over_restarts(house: House) -> None:
    model = house.add("1.1.0")
    await house.manager.canary("1.1.0", 1.0)
    model.raises = RunnerFailure("device error")
    await house.ask_many(10)
    await house.manager.tick()
    assert house.metric("bad_versions") == 1
    model.raises = None
    await house.reopen()
    for refused in (house.manager.canary("1.1.0"), house.manager.swap("1.1.0")):
        with pytest.raises(OperatorError, match=r"was rolled back at .*it failed on \d+ of \d+ images.*--force"):
            await refused
    await house.manager.shadow("1.1.0")
    await house.manager.promote()
    assert house.manager.active == "1.1.0"
    assert house.metric("bad_versions") == 0


async def test_a_canary_that_was_rolled_back_is_tried_again_by_force_and_cleared_by_its_gates(house: House) -> None:
    model = house.add("1.1.0")
    await house.manager.canary("1.1.0", 1.0)
    model.raises = RunnerFailure("device error")
    await house.ask_many(10)
    await house.manager.tick()
    model.raises = None
    await house.manager.canary("1.1.0", 1.0, force=True)
    assert "1.1.0" in house.manager.status()["bad"]
    await house.ask_many(60)
    await house.manager.tick()
    assert house.manager.active == "1.1.0"
    assert house.manager.status()["bad"] == {}


async def test_a_canary_is_promoted_and_rolled_back_by_hand(house: House) -> None:
    house.add("1.1.0")
    house.add("1.2.0")
    await house.manager.canary("1.1.0", 0.3)
    result = await house.manager.rollback("not now")
    assert (result["version"], result["active"]) == ("1.1.0", "1.0.0")
    assert house.manager.status()["bad"]["1.1.0"]["why"] == "not now"
    await house.manager.canary("1.2.0", 0.3)
    result = await house.manager.promote("1.2.0")
    assert (result["active"], house.registry.active()) == ("1.2.0", "1.2.0")


async def test_a_shadow_becomes_a_canary_without_loading_again(house: House) -> None:
    model = house.add("1.1.0")
    await house.manager.shadow("1.1.0")
    await house.ask_many(5)
    await house.manager.canary("1.1.0", 1.0)
    assert house.manager.status()["candidate"]["report"]["samples"] == 0
    assert versions(await house.ask_many(5)) == {"1.1.0"}
    await house.manager.shadow("1.1.0")
    assert versions(await house.ask_many(5)) == {"1.0.0"}
    assert model.loaded == 1
    assert len(house.engine.lanes) == 2
    first = house.journal()[1]
    assert (first["event"], first["why"]) == ("stopped", "begins anew as canary on 100% of the images")
    assert first["report"]["samples"] == 5


async def test_the_standby_can_be_tried_without_loading_it_again(house: House) -> None:
    house.add("1.1.0")
    house.add("1.2.0")
    await house.manager.swap("1.1.0")
    await house.manager.swap("1.2.0")
    await house.manager.canary("1.1.0", 1.0)
    assert house.models["1.1.0"].loaded == 1
    assert house.manager.status()["standby"] is None
    house.clock.time += house.policy.keep_s + 1
    await house.manager.tick()
    assert versions(await house.ask_many(5)) == {"1.1.0"}


async def test_only_one_version_is_tried_at_a_time(house: House) -> None:
    house.add("1.1.0")
    house.add("1.2.0")
    await house.manager.shadow("1.1.0")
    for other in (
        house.manager.canary("1.2.0"),
        house.manager.shadow("1.2.0"),
        house.manager.swap("1.2.0"),
        house.manager.promote("1.2.0"),
    ):
        with pytest.raises(OperatorError, match=r"1\.1\.0 is tried as shadow: promote it"):
            await other
    await house.manager.stop_shadow()
    await house.manager.canary("1.2.0")
    assert house.events()[-2:] == [("stopped", "1.1.0"), ("canary", "1.2.0")]
    assert house.manager.status()["bad"] == {}


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01, float("nan")])
async def test_a_share_that_makes_no_sense_is_refused(house: House, share: float) -> None:
    house.add("1.1.0")
    with pytest.raises(OperatorError, match="share must be above 0"):
        await house.manager.canary("1.1.0", share)


async def test_without_a_trial_there_is_nothing_to_promote_or_stop(house: House) -> None:
    for attempt in (house.manager.promote(), house.manager.stop_shadow()):
        with pytest.raises(OperatorError, match="Nothing is tried"):
            await attempt


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


async def test_the_end_of_the_miner_ends_a_trial_in_the_journal(house: House) -> None:
    house.add("1.1.0")
    await house.manager.canary("1.1.0", 1.0)
    await house.reopen()
    assert (house.journal()[-1]["event"], house.journal()[-1]["why"]) == ("stopped", "the miner stopped")
    assert house.manager.status()["candidate"] is None
    assert house.manager.active == "1.0.0"
