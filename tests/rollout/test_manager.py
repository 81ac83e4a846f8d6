"""Operations by hand: the real engine and registry over fake models."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from streetvision.engine.types import Prediction
from streetvision.errors import OperatorError

from .conftest import House, versions


async def test_a_swap_changes_the_model_and_a_restart_comes_back_with_it(house: House) -> None:
    house.add("1.1.0")
    assert (await house.ask()).model_version == "1.0.0"
    steps: list[Mapping[str, Any]] = []
    result = await house.manager.swap("1.1.0", steps.append)
    assert (result["version"], result["active"], result["before"]) == ("1.1.0", "1.1.0", "1.0.0")
    assert [step["stage"] for step in steps] == ["load", *["warm"] * 3, *["touch"] * 3, "check", "switch"]
    assert (await house.ask()).model_version == "1.1.0"
    assert house.registry.active() == "1.1.0"
    assert house.events() == [("swap", "1.1.0")]
    assert house.metric("active", version="1.1.0") == 1
    assert house.metric("active", version="1.0.0") is None
    assert house.metric("decisions_total", event="swap", by="operator") == 1
    await house.reopen()
    assert house.manager.active == "1.1.0"
    assert (await house.ask()).model_version == "1.1.0"


async def test_what_is_being_prepared_can_be_stopped_by_hand(house: House) -> None:
    slow = house.add("1.1.0", gate=threading.Event())
    swap = asyncio.create_task(house.manager.swap("1.1.0"))
    await house.until(lambda: slow.calls > 0)
    stopping = asyncio.create_task(house.manager.stop_shadow())
    await asyncio.sleep(0.05)
    slow.gate.set()
    assert (await stopping)["sentence"] == "Stopped the swap to 1.1.0; version 1.0.0 serves."
    with pytest.raises(OperatorError, match=r"The swap to 1\.1\.0 was stopped: stopped by hand"):
        await swap
    await house.until(lambda: slow.closed == slow.loaded)
    assert (await house.ask()).model_version == "1.0.0"


async def test_one_operation_at_a_time_and_the_second_is_told(house: House) -> None:
    slow = house.add("1.1.0", gate=threading.Event())
    house.add("1.2.0")
    first = asyncio.create_task(house.manager.swap("1.1.0"))
    await house.until(lambda: slow.loaded == 1)
    operation = house.manager.status()["operation"]
    assert operation["name"] == "the swap to 1.1.0"
    for second in (house.manager.swap("1.2.0"), house.manager.rollback(), house.manager.canary("1.2.0")):
        with pytest.raises(OperatorError, match=r"the swap to 1\.1\.0 is running"):
            await second
    assert (await house.ask()).model_version == "1.0.0"
    slow.gate.set()
    assert (await first)["active"] == "1.1.0"


async def test_a_cancelled_swap_frees_what_it_made(house: House) -> None:
    slow = house.add("1.1.0", gate=threading.Event())
    swap = asyncio.create_task(house.manager.swap("1.1.0"))
    await house.until(lambda: slow.calls > 0)
    swap.cancel()
    slow.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await swap
    await house.until(lambda: slow.closed == slow.loaded)
    assert house.manager.status()["operation"] is None
    assert (await house.ask()).model_version == "1.0.0"
    await house.manager.swap("1.1.0")


async def test_no_request_fails_while_models_change_under_load(house: House) -> None:
    house.add("1.1.0")
    house.add("1.2.0")
    answers: list[Prediction] = []
    stop = False

    async def load() -> None:
        while not stop:
            answers.append(await house.ask())

    def more_than(count: int) -> Callable[[], bool]:
        return lambda: len(answers) > count

    callers = [asyncio.create_task(load()) for _ in range(4)]
    for version in ("1.1.0", "1.2.0"):
        await house.manager.swap(version)
        await house.until(more_than(len(answers) + 20))
    await house.manager.rollback()
    stop = True
    await asyncio.gather(*callers)
    assert {answer.model_version for answer in answers} == {"1.0.0", "1.1.0", "1.2.0"}


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


async def test_a_canary_is_promoted_by_hand_and_rolled_back_by_retraining(house: House) -> None:
    house.add("1.1.0")
    house.add("1.2.0")
    await house.manager.canary("1.1.0", 0.3)
    result = await house.manager.rollback(by="retraining")
    assert (result["version"], result["active"]) == ("1.1.0", "1.0.0")
    assert house.manager.status()["bad"]["1.1.0"]["why"] == "rolled back by retraining"
    await house.manager.canary("1.2.0", 0.3)
    result = await house.manager.promote("1.2.0")
    assert (result["active"], house.registry.active()) == ("1.2.0", "1.2.0")


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


async def test_the_end_of_the_miner_ends_a_trial_in_the_journal(house: House) -> None:
    house.add("1.1.0")
    await house.manager.canary("1.1.0", 1.0)
    await house.reopen()
    assert (house.journal()[-1]["event"], house.journal()[-1]["why"]) == ("stopped", "the miner stopped")
    assert house.manager.status()["candidate"] is None
    assert house.manager.active == "1.0.0"
