"""What cannot be put on, loaded or written leaves the serving model serving, and one sentence says why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from streetvision.engine.types import RunnerFailure
from streetvision.errors import OperatorError
from streetvision.registry.registry import Registry

from .conftest import House

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
    assert model.closed == model.loaded
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
