"""What `streetvision replay` needs of CUDA: single images repeat bit for bit, shared batches within the tolerance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from streetvision.engine.decode import DecodeLimits, decode
from streetvision.models.folder import bundled_checkpoint, read_config
from streetvision.prediction_log.comparison import TOLERANCE
from streetvision.runner.torch_runner import TorchRunner
from streetvision.scenes.challenges import challenge

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: run make test-gpu on a GPU machine"),
]
COUNT = 64


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    side = read_config(bundled_checkpoint()).input_size
    jpegs = (challenge(seed, native=False).jpeg for seed in range(COUNT))
    return np.stack([decode(jpeg, size=side, limits=DecodeLimits(), resize="squash").array for jpeg in jpegs])


def probabilities(runner: TorchRunner, images: NDArray[np.uint8], batch: int) -> NDArray[np.float64]:
    parts = [runner.run(images[start : start + batch]).logits for start in range(0, COUNT, batch)]
    return 1 / (1 + np.exp(-np.concatenate(parts).astype(np.float64)))


@pytest.mark.parametrize("compile", [False, True])
def test_another_process_would_give_the_same(images: NDArray[np.uint8], compile: bool) -> None:
    miner = TorchRunner(bundled_checkpoint(), device="cuda", buckets=(1, 4, 64), compile=compile)
    replay = TorchRunner(bundled_checkpoint(), device="cuda", buckets=(1,), compile=compile)
    miner.warmup()
    replay.warmup()
    again = probabilities(replay, images, 1)
    np.testing.assert_array_equal(probabilities(miner, images, 1), again)
    for batch in (4, 64):
        np.testing.assert_allclose(probabilities(miner, images, batch), again, rtol=0, atol=TOLERANCE["cuda"])
