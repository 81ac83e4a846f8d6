from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from streetvision.engine.decode import DecodeLimits, decode
from streetvision.engine.engine import Engine
from streetvision.engine.types import DeviceLost, Prediction
from streetvision.errors import OperatorError
from streetvision.evaluation.predictions import Serving, Unanswered, answer_examples, answers, sample_of, serving
from streetvision.models.network import load
from streetvision.sources.dataset import Example

Pictures = Callable[..., list[Example]]
CPU = Serving("cpu")


async def test_answers_are_the_networks_on_the_pixels_that_the_miner_decodes(
    small_model: Path, pictures: Pictures
) -> None:
    examples = pictures(9)
    async with serving(small_model, CPU) as engine:
        told = await answer_examples(engine, examples)
    loaded = load(small_model)
    arrays = [decode(one.path.read_bytes(), size=32, limits=DecodeLimits(), resize="squash").array for one in examples]
    with torch.inference_mode():
        expected = loaded.net.forward_uint8(torch.from_numpy(np.stack(arrays)))[0]
    assert told.sample.logits == pytest.approx(expected.numpy(), abs=1e-4)
    assert told.sample.labels.tolist() == [one.label for one in examples]
    assert told.model == "1.0.0"


async def test_a_broken_picture_is_kept_apart_and_the_others_are_answered(
    small_model: Path, pictures: Pictures, tmp_path: Path
) -> None:
    examples = pictures(4)
    examples[1].path.write_bytes(b"no picture")
    gone = replace(examples[2], path=tmp_path / "gone.jpg")
    done: list[int] = []
    async with serving(small_model, CPU) as engine:
        told = await answer_examples(engine, [*examples[:2], gone, examples[3]], progress=done.append)
    assert [one.path for one in told.examples] == [examples[0].path, examples[3].path]
    assert len(told.sample) == 2
    reasons = {example.path.name: why for example, why in told.unanswered}
    assert reasons[examples[1].path.name] == "the image is not a JPEG, PNG or WebP file"
    assert reasons["gone.jpg"] == "no such file or directory"
    assert sum(done) == 4


async def test_answers_come_in_order_while_few_pictures_are_held(small_model: Path, pictures: Pictures) -> None:
    examples, loaded = pictures(12), list[int]()

    def load_one(place: int) -> bytes:
        loaded.append(place)
        return examples[place].path.read_bytes()

    asked = ((place, (lambda place=place: load_one(place))) for place in range(12))
    seen, ahead = [], []
    async with serving(small_model, CPU) as engine:
        async for place, found in answers(engine, asked, ahead=3):
            assert not isinstance(found, Unanswered)
            seen.append(place)
            ahead.append(len(loaded) - len(seen))
    assert seen == list(range(12))
    assert max(ahead) <= 3


def test_a_picture_without_a_group_is_its_own() -> None:
    some = [Example(Path(f"{place}.jpg"), True, "", "test") for place in range(3)]
    assert len(set(sample_of(some, [0.0, 1.0, 2.0]).groups.tolist())) == 3


async def test_a_lost_device_is_one_sentence_and_leaves_nothing_running(pictures: Pictures) -> None:
    class Lost:
        async def predict(self, data: bytes, *, deadline: float, priority: float) -> Prediction:
            raise DeviceLost("the device is lost")

    asked = [(one, one.path.read_bytes) for one in pictures(6)]
    before = asyncio.all_tasks()
    with pytest.raises(OperatorError, match="the device is lost: run it again"):
        [found async for found in answers(cast(Engine, Lost()), asked)]
    assert asyncio.all_tasks() == before
