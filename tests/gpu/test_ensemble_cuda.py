"""Members of an ensemble side by side on one GPU: their graphs and buffers do not disturb each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from streetvision.engine.ensemble import EnsembleRunner
from streetvision.engine.types import ImageArray
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.ensemble import EnsembleConfig, Member
from streetvision.models.network import build, tiny_config
from streetvision.runner.opening import open_runner

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: run make test-gpu on a GPU machine"),
]

SIZES = (224, 160)
BUCKETS = (1, 4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ensemble")
    members = []
    for place, size in enumerate(SIZES):
        torch.manual_seed(place)
        config = replace(tiny_config(depth=3), input_size=size)
        saved = save_checkpoint(root / str(place), config, build(config).state_dict())
        members.append(Member(saved.sha256, folder=str(place)))
    (root / "ensemble.json").write_text(EnsembleConfig("pair", "1.0.0", tuple(members), ("plain", "hflip")).to_json())
    return root


def pictures(size: int, count: int) -> ImageArray:
    return np.random.default_rng(size).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def test_members_in_turn_answer_as_each_alone(folder: Path) -> None:
    alone = []
    for place, size in enumerate(SIZES):
        runner = open_runner(folder / str(place), device="cuda", buckets=BUCKETS)
        runner.warmup(BUCKETS)
        alone.append(runner.run(pictures(size, 4)).logits)
    ensemble = open_runner(folder, device="cuda", buckets=BUCKETS)
    assert isinstance(ensemble, EnsembleRunner)
    ensemble.warmup(BUCKETS)
    for _ in range(5):
        for member, size, expected in zip(ensemble.members, SIZES, alone, strict=True):
            np.testing.assert_array_equal(member.run(pictures(size, 4)).logits, expected)


def test_an_ensemble_answers_on_the_gpu_as_on_the_cpu(folder: Path) -> None:
    runners = [open_runner(folder, device=device, buckets=BUCKETS, compile=False) for device in ("cuda", "cpu")]
    for runner in runners:
        runner.warmup(BUCKETS)
    fast, exact = (runner.run(pictures(224, 4)).logits for runner in runners)
    np.testing.assert_allclose(fast, exact, rtol=0, atol=5e-2)
