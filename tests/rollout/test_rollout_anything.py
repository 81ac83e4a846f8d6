"""Anything in any order: whatever operators, gates and sick models do, one serves; pointer and blocklist agree."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from streetvision.engine.types import Prediction, RunnerFailure
from streetvision.errors import OperatorError

from .conftest import House

VERSIONS = ("1.1.0", "1.2.0", "1.3.0", "1.4.0")


def spoil(rng: random.Random, model: Any) -> None:
    """Make a model sick in some way, or well again."""
    model.raises = rng.choice([None, None, RunnerFailure("device error")])
    ways: list[Callable[[np.ndarray], np.ndarray]] = [
        lambda means: (means - 100.0) / 20.0,
        lambda means: (means - 100.0) / 20.0,
        lambda means: means * np.nan,
        lambda means: 0 * means + 0.5,
    ]
    model.answer = rng.choice(ways)


def fill_the_disk_now_and_then(rng: random.Random, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """One pointer in five cannot be written."""
    move = house.registry._move

    def sometimes(*args: Any, **options: Any) -> None:
        if rng.random() < 0.2:
            raise OperatorError("Moving the pointer failed: the disk is full.")
        move(*args, **options)

    monkeypatch.setattr(house.registry, "_move", sometimes)


async def do_something(rng: random.Random, house: House) -> None:
    manager, version = house.manager, rng.choice(VERSIONS)
    what = rng.randrange(10)
    if what == 0:
        spoil(rng, house.models[version])
    elif what == 1:
        house.clock.time += rng.choice([1.0, 30.0, 700.0])
    elif what == 2:
        await house.ask_many(rng.randrange(1, 15))
    else:
        share = rng.choice([0.3, 1.0])
        operations: list[Callable[[], Any]] = [
            lambda: manager.swap(version),
            lambda: manager.shadow(version, share),
            lambda: manager.canary(version, share),
            lambda: manager.promote(rng.choice([None, version])),
            manager.rollback,
            manager.stop_shadow,
            manager.tick,
        ]
        try:
            await operations[what - 3]()
        except OperatorError as error:
            assert "\n" not in str(error)


def check(house: House) -> None:
    deployment, engine = house.manager._deployment, house.engine
    assert engine.route.active is deployment.active.lane
    candidate = deployment.candidate
    trying = {lane for lane in (engine.route.canary, engine.route.shadow) if lane is not None}
    assert trying == ({candidate.served.lane} if candidate else set())
    parts = [deployment.active.lane, *([deployment.standby.served.lane] if deployment.standby else []), *trying]
    assert len(parts) == len(set(parts)), "no lane plays two parts"
    assert set(engine.lanes) == set(parts), "and none is left over"
    pointer = house.registry.active()
    owed = deployment._owed is not None
    assert owed or (pointer or "1.0.0") == house.manager.active, "a restart would come back with what serves"
    assert house.manager.active not in house.manager.status()["bad"]
    assert house.manager.status()["operation"] is None


@pytest.mark.parametrize("seed", range(8))
async def test_any_sequence_leaves_one_model_serving_and_the_books_right(
    house: House, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    fill_the_disk_now_and_then(rng, house, monkeypatch)
    for version in VERSIONS:
        house.add(version)
    for _ in range(40):
        await do_something(rng, house)
        await house.manager.freed()
        check(house)
    for model in (house.start, *house.models.values()):
        model.raises = None
        model.answer = lambda means: (means - 100.0) / 20.0
    assert all(isinstance(answer, Prediction) for answer in await house.ask_many(3))
    monkeypatch.undo()
    await house.manager.tick()
    active = house.manager.active
    await house.reopen()
    assert house.manager.active == active
    for model in (house.start, *house.models.values()):
        assert model.loaded - model.closed == (1 if model.version == active else 0)
