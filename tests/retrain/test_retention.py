"""Trainings of old runs go; the last ones, and those that an operator began, stay."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from streetvision.errors import OperatorError
from streetvision.retrain.retention import KEPT, tidy
from streetvision.retrain.running import Asked
from streetvision.retrain.step import Context, Output
from streetvision.retrain.steps.work import list_file
from streetvision.retrain_log.records import StepName
from streetvision.training.run_folder import RunRecord

from .fakes import World


@pytest.fixture
def trained(world: World) -> World:
    """A world whose train step makes a folder as trainings do."""

    def train(context: Context) -> Output:
        folder = world.state / "training" / f"night-{context.run.id}"
        folder.mkdir(parents=True)
        (folder / "last.ckpt").write_bytes(b"weights")
        return {"training": folder.name}

    world.steps[StepName.TRAIN] = train
    return world


def there(world: World) -> list[str]:
    return sorted(path.name for path in (world.state / "training").iterdir() if not path.name.startswith("."))


def test_the_trainings_of_the_last_runs_stay(trained: World) -> None:
    (trained.state / "training" / "by-hand").mkdir(parents=True)
    ids = []
    for _ in range(KEPT + 2):
        run = trained.run().run
        ids += [run.id] if run else []
        trained.time.sleep(60.0)
    assert there(trained) == ["by-hand", *(f"night-{id}" for id in ids[-KEPT:])]
    assert len(trained.store.runs()) == KEPT + 2, "the log keeps all runs"
    assert tidy(trained.state, trained.store) == ()


def test_the_training_of_a_run_that_failed_in_it_goes_too(world: World) -> None:
    def fails(context: Context) -> Output:
        name, sets, data = f"begun-{context.run.id}", (str(list_file(context)),), {"val": {"pictures": 1}}
        record = RunRecord(name, "quick", sets, "ab12", context.clock.now(), data=data)
        folder = world.state / "training" / record.name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps(asdict(record)))
        raise OperatorError("no memory")

    world.steps[StepName.TRAIN] = fails
    ids = []
    for _ in range(KEPT + 1):
        run = world.run(Asked(fresh=True)).run
        ids += [run.id] if run else []
        world.time.sleep(60.0)
    assert there(world) == [f"begun-{id}" for id in ids[-KEPT:]]


def test_an_output_never_leads_out_of_the_folder(world: World) -> None:
    outside = world.state / "precious"
    outside.mkdir(parents=True)
    world.steps[StepName.TRAIN] = lambda _: {"training": "../precious"}
    for _ in range(KEPT + 1):
        world.run()
    assert outside.is_dir()


def test_what_cannot_be_removed_is_told_and_changes_nothing_else(
    trained: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    for _ in range(KEPT):
        trained.run()
    monkeypatch.setattr(Path, "rename", broken)
    run = trained.run().run
    assert run is not None
    assert run.version == "1.0.1"
    assert trained.events[-1] == {
        "event": "warning",
        "why": f"Removing the training night-{trained.store.runs()[-1].id} failed: permission denied.",
    }
    with pytest.raises(OperatorError, match="permission denied"):
        tidy(trained.state, trained.store)
