"""The engine over the real runner: the same answers as the runner alone, whoever shares the batch."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from streetvision.engine.decode import DecodeLimits, decode
from streetvision.engine.engine import Engine
from streetvision.models.network import LoadedModel, build, tiny_config
from streetvision.runner.torch_runner import TorchRunner

from ..photos import photos

CONFIG = replace(tiny_config(depth=2, width=64, version="1.2.3"), input_size=48, temperature=1.6, threshold=0.3)
BATCH_BOUND = 1e-4
"""float32 sums in another order for another batch size."""


def runner(resize: str) -> TorchRunner:
    torch.set_num_threads(2)
    torch.manual_seed(5)
    config = replace(CONFIG, resize=resize)
    return TorchRunner(LoadedModel(build(config), config), device="cpu", buckets=(1, 4), compile=False)


@pytest.mark.parametrize("resize", ["squash", "crop"])
async def test_each_caller_gets_the_answer_to_its_own_image(resize: str) -> None:
    engine, alone, images = Engine(runner(resize)), runner(resize), photos(12, size=(640, 480))
    alone.warmup()
    await engine.start()
    deadline = time.monotonic() + 60
    try:
        answers = await asyncio.gather(*(engine.predict(image, deadline=deadline, priority=0) for image in images))
    finally:
        await engine.close()
    for image, answer in zip(images, answers, strict=True):
        array = decode(image, size=48, limits=DecodeLimits(), resize=resize).array
        expected = alone.run(array[None])
        assert answer.logit == pytest.approx(float(expected.logits[0]), abs=BATCH_BOUND)
        assert np.allclose(answer.embedding, expected.embeddings[0], atol=BATCH_BOUND)
        assert answer.model_version == "1.2.3"
        assert (answer.width, answer.height) == (640, 480)
    assert len({answer.logit for answer in answers}) == len(images)
    assert engine.stats().answered == 12
