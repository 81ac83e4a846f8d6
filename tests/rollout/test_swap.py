"""Swap and rollback by hand: the real engine and registry over fake models."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from streetvision.engine.types import Prediction
from streetvision.errors import OperatorError

from .conftest import House


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


async def test_rolling_back_to_the_standby_loads_nothing(house: House) -> None:
    house.add("1.1.0")
    await house.manager.swap("1.1.0")
    result = await house.manager.rollback()
    assert (result["active"], house.start.loaded) == ("1.0.0", 1)
    assert (await house.ask()).model_version == "1.0.0"
    assert house.registry.active() is None
    await house.manager.freed()
    assert house.models["1.1.0"].closed == 1
    assert house.events()[-1] == ("rollback", "1.1.0")


async def test_rolling_back_later_loads_the_last_good_version_from_disk(house: House) -> None:
    house.add("1.1.0")
    house.add("1.2.0")
    await house.manager.swap("1.1.0")
    await house.manager.swap("1.2.0")
    house.clock.time += house.policy.keep_s + 1
    await house.manager.tick()
    await house.manager.rollback()
    assert house.manager.active == house.registry.active() == "1.1.0"
    assert house.models["1.1.0"].loaded == 2
    await house.reopen()
    assert house.manager.active == "1.1.0"
    assert "1.2.0" in house.manager.status()["bad"]


@pytest.mark.parametrize("again", ["swap", "promote", "canary"])
async def test_what_an_operator_rolled_back_an_operator_may_put_on_again(house: House, again: str) -> None:
    house.add("1.1.0")
    await house.manager.swap("1.1.0")
    await house.manager.rollback("it looks odd")
    await house.reopen()
    assert house.manager.status()["bad"]["1.1.0"]["why"] == "it looks odd"
    if again == "canary":
        await house.manager.canary("1.1.0", 1.0)
        await house.manager.promote()
    else:
        await getattr(house.manager, again)("1.1.0")
    assert house.manager.active == "1.1.0"
    assert house.manager.status()["bad"] == {}
    await house.manager.rollback()
    assert house.manager.active == "1.0.0"


async def test_a_mark_belongs_to_the_content_and_not_to_the_name(house: House) -> None:
    house.add("1.1.0")
    await house.manager.swap("1.1.0")
    await house.manager.rollback()
    bad = json.loads((house.folder / "bad.json").read_text())
    bad["1.1.0"]["sha256"] = "f" * 64
    (house.folder / "bad.json").write_text(json.dumps(bad))
    await house.reopen()
    await house.manager.swap("1.1.0")
    assert house.manager.active == "1.1.0"


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


async def test_a_swap_back_to_the_standby_reuses_it(house: House) -> None:
    house.add("1.1.0")
    house.add("1.2.0")
    await house.manager.swap("1.1.0")
    await house.manager.swap("1.2.0")
    await house.manager.swap("1.1.0")
    assert house.models["1.1.0"].loaded == 1
    assert house.manager.status()["standby"]["version"] == "1.2.0"


async def test_without_a_former_version_a_rollback_is_refused(house: House) -> None:
    with pytest.raises(OperatorError, match=r"no good version to go back to .*1\.0\.0 goes on serving"):
        await house.manager.rollback()
    assert house.manager.status()["bad"] == {}


async def test_a_version_promoted_again_after_its_rollback_is_a_last_good_one_again(house: House) -> None:
    for version in ("1.1.0", "1.2.0"):
        house.add(version)
    await house.manager.swap("1.1.0")
    await house.manager.rollback()
    assert house.registry.previous() is None
    await house.manager.promote("1.1.0")
    await house.manager.swap("1.2.0")
    assert house.registry.previous() == "1.1.0"


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
