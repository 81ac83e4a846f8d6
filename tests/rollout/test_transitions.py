"""What can be put on or gone back to, and what leaves the serving model serving, with one sentence that says why."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from streetvision.engine.types import RunnerFailure
from streetvision.errors import OperatorError
from streetvision.registry.registry import Registry

from .conftest import House, versions

POISONS: dict[str, tuple[dict[str, Any], str]] = {
    "nan": (
        {"answer": lambda means: means * np.nan},
        r"the model's answer is not finite",
    ),
    "constant": (
        {"answer": lambda means: 0 * means + 0.25},
        r"gives every golden picture the same answer \(logit 0.25",
    ),
    "another answer": (
        {"answer": lambda means: -(means - 100) / 20},
        r"golden picture \d+ with 0\.\d+, but with 0\.\d+",
    ),
    "wrong shape": ({"answer": lambda means: means[:, None]}, r"answered \d+ images with logits of shape \[\d+, 1\]"),
    "raises": ({"raises": ValueError("cannot do that")}, r"cannot do that"),
    "does not load": ({"fails_to_load": OperatorError("The weights do not fit.")}, r"ready \(The weights do not fit\)"),
    "does not warm": ({"fails_to_warm": RunnerFailure("torch broke")}, r"could not be made ready \(torch broke\)"),
    "too large": ({"fails_to_load": RuntimeError("CUDA out of memory. Tried ...")}, r"does not fit into the memory"),
    "no memory": ({"fails_to_load": MemoryError()}, r"does not fit into the memory"),
}


@pytest.mark.parametrize("poison", POISONS)
async def test_a_poisoned_version_never_serves_and_one_sentence_says_why(house: House, poison: str) -> None:
    behaviour, says = POISONS[poison]
    model = house.add("1.1.0", **behaviour)
    for attempt in (house.manager.swap, house.manager.canary, house.manager.shadow, house.manager.promote):
        with pytest.raises(OperatorError, match=says) as caught:
            await attempt("1.1.0")
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith("Version 1.1.0 ")
        assert str(caught.value).endswith("; version 1.0.0 goes on serving.")
    assert (await house.ask()).model_version == "1.0.0"
    assert house.registry.active() is None
    assert [lane.version for lane in house.engine.lanes] == ["1.0.0"]
    await house.until(lambda: model.closed == model.loaded)
    assert {event for event, _ in house.events()} == {"refused"}
    assert house.manager.status()["operation"] is None


@pytest.mark.parametrize(
    ("seconds", "says"), [(0.3, "takes 0.3. s for one picture where 0.20 s"), (0.5, "within 0.4 s")]
)
async def test_a_model_too_slow_for_the_deadline_is_refused(house: House, seconds: float, says: str) -> None:
    object.__setattr__(house.policy, "deadline_s", 0.4)
    house.add("1.1.0", seconds=seconds)
    with pytest.raises(OperatorError, match=says):
        await house.manager.swap("1.1.0")
    assert (await house.ask()).model_version == "1.0.0"


async def test_versions_that_cannot_be_put_on_are_refused_at_once(house: House) -> None:
    house.why_not["1.1.0"] = "its head was never trained"
    house.add("1.1.0")
    house.add("1.2.0")
    with pytest.raises(OperatorError, match="may not serve: its head was never trained"):
        await house.manager.swap("1.1.0")
    with pytest.raises(OperatorError, match=r"no model version '9\.9\.9'.* there are: bundled, 1\.1\.0, 1\.2\.0"):
        await house.manager.swap("9.9.9")
    await house.manager.swap("1.2.0")
    with pytest.raises(OperatorError, match=r"Version 1\.2\.0 serves already"):
        await house.manager.swap("1.2.0")
    (house.registry.get("1.2.0").folder / "model.safetensors").write_bytes(b"tampered")
    await house.manager.rollback()
    with pytest.raises(OperatorError, match="damaged"):
        await house.manager.promote("1.2.0")


async def test_memory_of_the_standby_is_given_up_for_a_model_that_does_not_fit_beside_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.add("1.1.0")
    tight = house.add("1.2.0", fails_to_load=RuntimeError("CUDA out of memory"))
    await house.manager.swap("1.1.0")

    def ended() -> None:
        tight.fails_to_load = None

    monkeypatch.setattr(house.engine.lanes[0].runner, "close", ended)
    await house.manager.swap("1.2.0")
    assert house.manager.active == "1.2.0"


async def test_a_rollback_passes_over_versions_that_cannot_serve_any_more(house: House) -> None:
    for version in ("1.1.0", "1.2.0", "1.3.0"):
        house.add(version)
        await house.manager.swap(version)
    house.clock.time += house.policy.keep_s + 1
    await house.manager.tick()
    house.models["1.2.0"].fails_to_load = OperatorError("Its weights are damaged.")
    await house.manager.rollback()
    assert house.manager.active == "1.1.0"


async def test_a_history_that_cannot_be_read_still_allows_the_standby(house: House) -> None:
    house.add("1.1.0")
    await house.manager.swap("1.1.0")
    (house.folder / "active.json").write_text("{")
    result = await house.manager.rollback()
    assert result["active"] == "1.0.0"
    assert isinstance(house.registry, Registry)


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
    await house.manager.rollback()
    await house.reopen()
    assert house.manager.status()["bad"]["1.1.0"]["why"] == "rolled back by hand"
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
