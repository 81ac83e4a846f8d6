"""Logged images through the real engine and model again."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from streetvision.engine.engine import Engine
from streetvision.engine.types import Prediction
from streetvision.errors import OperatorError
from streetvision.models.network import LoadedModel, build, tiny_config
from streetvision.prediction_log.comparison import Answered, Replayed, Tally, compare
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.replay import ReplayOptions, count_chosen, run_replay, tolerance_on
from streetvision.prediction_log.row import LogFilter
from streetvision.runner.bucketed import TIMED_RUNS
from streetvision.runner.torch_runner import TorchRunner

from ..conftest import Logbook
from ..photos import photos

WARM_PASSES = 1 + TIMED_RUNS
CONFIG = replace(tiny_config(depth=2, width=64, version="1.2.3"), input_size=48)


@pytest.fixture(scope="module", autouse=True)
def _few_threads() -> None:
    torch.set_num_threads(2)


def runner(*buckets: int, seed: int = 5, version: str = "1.2.3") -> TorchRunner:
    torch.manual_seed(seed)
    config = replace(CONFIG, version=version)
    net = build(config)
    with torch.no_grad():  # scores all over [0, 1], so that a difference shows
        net.head.fc.weight.normal_()
    return TorchRunner(LoadedModel(net.eval(), config), device="cpu", buckets=buckets, compile=False)


async def answers(runner: TorchRunner, images: Sequence[bytes], *, together: bool) -> list[Prediction]:
    """As the miner answers them: one after the other, or as a burst that shares batches."""
    engine = Engine(runner)
    await engine.start()
    deadline = time.monotonic() + 60
    try:
        if together:
            jobs = (engine.predict(image, deadline=deadline, priority=0) for image in images)
            return await asyncio.gather(*jobs)
        return [await engine.predict(image, deadline=deadline, priority=0) for image in images]
    finally:
        await engine.close()


async def log_them(logbook: Logbook, runner: TorchRunner, images: Sequence[bytes], *, together: bool = False) -> None:
    given = await answers(runner, images, together=together)
    logbook.write(*(logbook.record(image, answer) for image, answer in zip(images, given, strict=True)))


async def again(logbook: Logbook, runner: TorchRunner, **options: Any) -> tuple[list[Answered], Tally]:
    steps: list[int] = []
    done, chosen = Replayed(runner.version, "cpu"), ReplayOptions(**options)
    with LogReader(logbook.folder) as reader:
        expected = count_chosen(reader, chosen)
        await run_replay(reader, runner, chosen, done, progress=steps.append)
    assert sum(steps) >= expected
    return done.answers, done.tally


async def test_the_same_version_gives_the_same_probability_to_the_last_bit(logbook: Logbook) -> None:
    images = photos(9)
    await log_them(logbook, runner(1, 2, 4), images)
    answered, tally = await again(logbook, runner(1))
    assert [answer.id for answer in answered] == list(range(1, 10))
    assert len({answer.old for answer in answered}) == 9
    assert all(answer.new == answer.old for answer in answered)
    assert not tally.missing
    same = compare(answered, tolerance=0.0).reproduction
    assert same is not None
    assert same.good


@pytest.mark.parametrize("batch", [1, 8])
async def test_shared_batches_stay_within_the_tolerance(logbook: Logbook, batch: int) -> None:
    await log_them(logbook, runner(1, 4, 8), photos(20), together=True)
    with LogReader(logbook.folder) as reader:
        assert max(row.batch_size for row in reader.rows()) > 1
    answered, _ = await again(logbook, runner(1, batch), batch=batch)
    same = compare(answered, tolerance=tolerance_on("cpu")).reproduction
    assert same is not None
    assert (same.rows, same.good) == (20, True)


async def test_another_version_is_compared_and_a_changed_one_of_that_name_noticed(logbook: Logbook) -> None:
    await log_them(logbook, runner(1), photos(8))
    answered, _ = await again(logbook, runner(1, seed=6, version="2.0.0"))
    comparison = compare(answered, tolerance=tolerance_on("cpu"))
    assert comparison.reproduction is None
    assert [(change.old_model, change.new_model, change.rows) for change in comparison.changes] == [
        ("1.2.3", "2.0.0", 8)
    ]
    answered, _ = await again(logbook, runner(1, seed=6))
    same = compare(answered, tolerance=tolerance_on("cpu")).reproduction
    assert same is not None
    assert (same.good, same.beyond) == (False, 8)


async def test_a_lost_device_ends_it_with_a_sentence_instead_of_failing_every_picture(logbook: Logbook) -> None:
    await log_them(logbook, runner(1), photos(8))
    dying = runner(1)
    execute, passes = dying._execute, itertools.count()

    def execute_until_lost(*arguments: Any) -> Any:
        if next(passes) > WARM_PASSES + 2:
            raise RuntimeError("CUDA error: unspecified launch failure")
        return execute(*arguments)

    vars(dying)["_execute"] = execute_until_lost
    with pytest.raises(OperatorError, match="the device that the model runs on is lost: run it again, with --device"):
        await again(logbook, dying)


async def test_the_same_image_is_computed_once(logbook: Logbook, monkeypatch: pytest.MonkeyPatch) -> None:
    (image,) = photos(1)
    await log_them(logbook, runner(1), [image])
    logbook.write(*(logbook.record(image, logbook.answer(0.5)) for _ in range(3)))
    calls = []
    predict = Engine.predict

    async def counted(self: Engine, jpeg: bytes, **options: Any) -> Prediction:
        calls.append(jpeg)
        return await predict(self, jpeg, **options)

    monkeypatch.setattr(Engine, "predict", counted)
    answered, _ = await again(logbook, runner(1))
    assert [answer.id for answer in answered] == [1, 2, 3, 4]
    assert len({answer.new for answer in answered}) == 1
    assert calls == [image]


async def test_missing_and_damaged_images_and_nonsense_are_counted(logbook: Logbook) -> None:
    images = [*photos(4), b"nonsense"]
    logbook.write(*(logbook.record(image, logbook.answer(0.5)) for image in images))
    logbook.write(logbook.record(None, logbook.answer(0.5)))
    logbook.image_of(1).unlink()
    logbook.image_of(2).write_bytes(images[2])
    answered, tally = await again(logbook, runner(1))
    assert [answer.id for answer in answered] == [3, 4]
    assert dict(tally.missing) == {"gone": 1, "damaged": 1, "none": 1}
    assert dict(tally.failed) == {"bad_image": 1}


async def test_filters_limit_and_refused_rows(logbook: Logbook) -> None:
    images = photos(5)
    await log_them(logbook, runner(1), images)
    logbook.write(logbook.record(images[0]), logbook.record(None, logbook.answer(0.5)))

    async def ids(**options: Any) -> list[int]:
        return [answer.id for answer in (await again(logbook, runner(1), **options))[0]]

    assert await ids(limit=2) == [4, 5]
    assert await ids(filter=LogFilter(until=logbook.moment - 4)) == [1, 2]
    assert await ids(unanswered=True) == [1, 2, 3, 4, 5, 6]
    assert await ids(filter=LogFilter(status=503), unanswered=True) == [6]
    assert await ids(filter=LogFilter(status=503)) == []


def test_the_tolerance_follows_the_device() -> None:
    assert tolerance_on("cpu") < tolerance_on("cuda:1")
    assert tolerance_on("auto") in {tolerance_on("cpu"), tolerance_on("cuda")}
