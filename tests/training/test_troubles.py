"""What goes wrong while training is one sentence that says what to do, and what was good until then is kept."""

from __future__ import annotations

import json
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from streetvision.errors import OperatorError
from streetvision.registry.registry import Registry
from streetvision.sources.source import SourceError
from streetvision.training.keeping import Stopped
from streetvision.training.memory import fitting_batch
from streetvision.training.module import TrainingModule
from streetvision.training.pictures import gather
from streetvision.training.run_folder import DONE, FAILED, RUNNING, STOPPED, find_run
from streetvision.training.running import train

from .pictures import DrawnSet, drawn_set, small_run
from .test_fit import around, quick


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (lambda one: False, "the dataset drawn is empty: add pictures"),
        (lambda one: one.split != "train", "drawn has no split to learn from"),
        (lambda one: one.label or one.split == "val", "no picture without roadwork to learn from"),
        (lambda one: not one.label or one.split == "train", "no picture with roadwork to judge on"),
        (lambda one: one.split == "train", "no picture to judge on"),
    ],
)
def test_sets_that_teach_nothing(tmp_path: Path, kept: Any, words: str) -> None:
    drawn = drawn_set(tmp_path, 4, val=4)
    with pytest.raises(SourceError, match=words):
        gather([DrawnSet(tuple(one for one in drawn.kept if kept(one)))])


def test_what_one_set_judges_on_no_other_teaches(tmp_path: Path) -> None:
    drawn = drawn_set(tmp_path, 8, val=4)
    other = DrawnSet(tuple(replace(one, split="train") for one in drawn.kept), "other", "e" * 64)
    joined = gather([drawn, other])
    assert len(joined.train) == 8
    assert not {one.sha256 for one in joined.train} & {one.sha256 for one in joined.val}
    assert joined.fingerprint != gather([drawn]).fingerprint


@pytest.mark.parametrize("method", ["full", "head"])
def test_unreadable_pictures_are_left_out_and_counted(tmp_path: Path, method: str) -> None:
    drawn = drawn_set(tmp_path / "set")
    pictures = gather([drawn])
    drawn.kept[3].path.write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    told: list[dict[str, Any]] = []
    train(small_run(tmp_path, quick(method, optimiser={"epochs": 1}), pictures), pictures, around(tmp_path, told))
    found = [event for event in told if event["event"] == "unreadable"]
    assert [event["count"] for event in found] == [1]
    assert str(drawn.kept[3].path) in found[0]["pictures"][0]


def test_pictures_that_are_mostly_unreadable_end_it(tmp_path: Path) -> None:
    drawn = drawn_set(tmp_path / "set")
    pictures = gather([drawn])
    for one in pictures.train[2:]:
        one.path.unlink()
    run = small_run(tmp_path, quick("head"), pictures)
    with pytest.raises(SourceError, match=r"22 of 24 pictures cannot be read|pictures in a row could not be read"):
        train(run, pictures, around(tmp_path))
    assert run.record().state == FAILED


def test_a_loss_that_is_no_number_names_its_pictures_and_keeps_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = gather([drawn_set(tmp_path / "set")])
    run = small_run(tmp_path, quick("full", optimiser={"epochs": 6}), pictures)
    plain = TrainingModule.loss_of

    def poisoned(module: TrainingModule, batch: Any) -> torch.Tensor:
        return plain(module, batch) * (float("nan") if module._drawn == 8 else 1.0)

    monkeypatch.setattr(TrainingModule, "loss_of", poisoned)
    with pytest.raises(OperatorError, match=r"the loss is nan in batch 8 \(pictures .*png, .*png and 5 more\)") as told:
        train(run, pictures, around(tmp_path))
    assert "\n" not in str(told.value)
    assert run.record().state == FAILED
    assert len(Registry(tmp_path / "models").versions()) == 1
    added = train(run, None, around(tmp_path))
    assert added.servable
    assert run.record().state == DONE


def test_a_run_that_is_stopped_says_so_and_goes_on(tmp_path: Path) -> None:
    pictures = gather([drawn_set(tmp_path / "set")])
    run = small_run(tmp_path, quick("full", optimiser={"epochs": 2}), pictures)
    told: list[dict[str, Any]] = []
    with pytest.raises(Stopped, match="stopped after step 1"):
        train(run, pictures, around(tmp_path, told, stop=lambda: True))
    assert run.record().state == STOPPED
    train(run, pictures, around(tmp_path))
    assert run.record().state == DONE
    with pytest.raises(OperatorError, match=r"is done: it became version 0\.1\.0"):
        train(run, pictures, around(tmp_path))


def test_an_interrupt_within_a_step_leaves_a_run_that_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = gather([drawn_set(tmp_path / "set")])
    run = small_run(tmp_path, quick("full", optimiser={"epochs": 1}), pictures)

    def interrupted(*_: object) -> torch.Tensor:
        raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(TrainingModule, "loss_of", interrupted)
        train(run, pictures, around(tmp_path))
    signal.signal(signal.SIGINT, handler)  # Lightning lets no other Ctrl-C through
    assert (run.record().state, run.record().problem) == (STOPPED, "")
    assert train(run, pictures, around(tmp_path)).servable


def test_sigterm_stays_with_whoever_had_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = gather([drawn_set(tmp_path / "set")])
    run = small_run(tmp_path, quick("full", optimiser={"epochs": 2}), pictures)
    asked: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    plain = TrainingModule.loss_of

    def ended(module: TrainingModule, batch: Any) -> torch.Tensor:
        signal.raise_signal(signal.SIGTERM)
        return plain(module, batch)

    monkeypatch.setattr(TrainingModule, "loss_of", ended)
    try:
        with pytest.raises(Stopped, match="stopped after step 1"):
            train(run, pictures, around(tmp_path, stop=lambda: bool(asked)))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert run.last.is_file()


def test_pictures_that_changed_meanwhile_are_told(tmp_path: Path) -> None:
    drawn = drawn_set(tmp_path / "set")
    pictures = gather([drawn])
    run = small_run(tmp_path, quick("full"), pictures)
    with pytest.raises(OperatorError, match=r"have changed since .* keep its best weights with --finish"):
        train(run, gather([replace(drawn, fingerprint="0" * 64)]), around(tmp_path))


def test_nothing_to_finish_is_told(tmp_path: Path) -> None:
    pictures = gather([drawn_set(tmp_path / "set")])
    run = small_run(tmp_path, quick("full"), pictures)
    with pytest.raises(OperatorError, match="was not judged yet"):
        train(run, None, around(tmp_path))


def test_a_version_that_was_taken_meanwhile_is_told_before_more_is_learnt(tmp_path: Path) -> None:
    pictures = gather([drawn_set(tmp_path / "set")])
    run = small_run(tmp_path, quick("full", optimiser={"epochs": 1}), pictures)
    run.update(version="3.0.0")
    registry = Registry(tmp_path / "models")
    registry.add_folder(tmp_path / "small", source="another", version="3.0.0")
    with pytest.raises(OperatorError, match=r"version 3\.0\.0 exists already: name another one with --version"):
        train(run, pictures, around(tmp_path))
    assert not run.last.exists()
    assert train(run, pictures, around(tmp_path), version="3.1.0").version == "3.1.0"


def test_a_run_that_was_killed_after_its_version_was_added_is_that_version(tmp_path: Path) -> None:
    pictures = gather([drawn_set(tmp_path / "set")])
    run = small_run(tmp_path, quick("full", optimiser={"epochs": 1}), pictures)
    added = train(run, pictures, around(tmp_path))
    run.update(state=RUNNING, version="")
    assert train(run, pictures, around(tmp_path)).version == added.version
    assert (run.record().state, run.record().version) == (DONE, added.version)
    assert len(Registry(tmp_path / "models").versions()) == 2


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let the system refuse larger files, as a full disk refuses what it has no room for."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_checkpoint_that_finds_no_room_is_one_sentence(tmp_path: Path) -> None:
    pictures = gather([drawn_set(tmp_path / "set")])
    run = small_run(tmp_path, quick("full", run={"save_minutes": 0.0}), pictures)
    with files_up_to(20_000), pytest.raises(OperatorError, match="Saving the checkpoint failed") as told:
        train(run, pictures, around(tmp_path))
    assert "\n" not in str(told.value)
    assert not run.last.exists()
    assert run.record().state == FAILED
    train(run, pictures, around(tmp_path))
    assert run.record().state == DONE


def test_a_damaged_checkpoint_is_told_and_never_unpickled(tmp_path: Path) -> None:
    pictures = gather([drawn_set(tmp_path / "set")])
    run = small_run(tmp_path, quick("full"), pictures)
    hostile = tmp_path / "ran"

    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (hostile,)

    torch.save({"state_dict": Hostile()}, run.last)
    with pytest.raises(OperatorError, match=r"last\.ckpt cannot be read"):
        train(run, pictures, around(tmp_path))
    assert not hostile.exists()


def test_two_cannot_train_one_run(tmp_path: Path) -> None:
    from streetvision.base.state_folder import only_one

    pictures = gather([drawn_set(tmp_path / "set")])
    run = small_run(tmp_path, quick("full"), pictures)
    run.update(state=RUNNING)
    assert run.record().state == STOPPED, "nobody holds its lock"
    with only_one(run.path, "training"):
        assert run.record().state == RUNNING
        with pytest.raises(OperatorError, match="another training is running"):
            train(run, pictures, around(tmp_path))


def test_a_damaged_run_is_told(tmp_path: Path) -> None:
    run = small_run(tmp_path, quick("full"), gather([drawn_set(tmp_path / "set")]))
    (run.path / "run.json").write_text("{")
    with pytest.raises(OperatorError, match=r"run\.json is missing or damaged"):
        find_run(tmp_path, run.name).record()


@pytest.mark.parametrize(
    "change", [{"seconds": None}, {"step": "3"}, {"state": 1}, {"sets": [1]}, {"data": {}}, {"data": {"val": 3}}]
)
def test_a_record_of_another_form_is_told(tmp_path: Path, change: dict[str, Any]) -> None:
    run = small_run(tmp_path, quick("full"), gather([drawn_set(tmp_path / "set")]))
    record = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps(record | change))
    with pytest.raises(OperatorError, match=r"run\.json is missing or damaged"):
        run.record()


def test_lines_of_metrics_that_are_none_are_passed_over(tmp_path: Path) -> None:
    run = small_run(tmp_path, quick("full"), gather([drawn_set(tmp_path / "set")]))
    good = {"step": 3, "epoch": 0, "best": True, "accuracy": 1.0, "mcc": 1.0, "auc": 1.0, "calibrated_nll": 0.1}
    bad = [{"step": 4}, good | {"step": "5"}, good | {"auc": None}, [1], 3]
    lines = [json.dumps(one) for one in (good, *bad)]
    (run.path / "metrics.jsonl").write_text("\n".join([*lines, '{"step": 6']))
    assert run.metrics() == [good]


@pytest.mark.parametrize(
    ("free", "wanted", "fits"),
    [(16, 128, 47), (1, 128, 0), (1000, 8, 7), (2.25, 128, 1), (2.4, 128, 1), (16, 51, 47), (16, 40, 39), (100, 1, 0)],
)
def test_the_batch_that_fits_is_found_by_doubling(free: float, wanted: int, fits: int) -> None:
    gib = 1 << 30

    def peak(count: int) -> int:
        return 2 * gib + count * gib // 4

    found = fitting_batch(peak, free=int(free * gib), wanted=wanted)
    assert found == fits
    assert found == 0 or peak(found) <= free * gib


def test_a_few_pictures_do_not_vouch_for_many() -> None:
    def peak(count: int) -> int | None:
        """Up to eight pictures the gradients are the highest point, beyond them the activations."""
        needed = max(1000 + count, 900 + 25 * count)
        return needed if needed <= 3000 else None

    asked: list[int] = []

    def told(count: int) -> int | None:
        asked.append(count)
        return peak(count)

    fits = fitting_batch(told, free=3000, wanted=4096)
    assert asked == [1, 2, 4, 8, 16, 32, 64, 128]
    assert (peak(fits) or 9999) <= 3000 - (3000 - 1001) * 15 // 100
    assert (peak(fits + 1) or 9999) > 3000 - 3000 * 15 // 100
