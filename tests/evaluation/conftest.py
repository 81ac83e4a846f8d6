"""A small model with random weights, and pictures on disk for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from streetvision.evaluation.figures import Sample
from streetvision.evaluation.judging import Judged, Shown, judge_answers
from streetvision.evaluation.predictions import Answers, sample_of
from streetvision.evaluation.reward import Assumptions
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.network import build, tiny_config
from streetvision.sources.dataset import Example

from ..photos import photos

Pictures = Callable[..., list[Example]]


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Quicker than any real one: 32 pixels, one block."""
    torch.manual_seed(0)
    config = replace(tiny_config(name="small", version="1.0.0", depth=1, width=64), input_size=32)
    folder = tmp_path_factory.mktemp("small") / "model"
    save_checkpoint(folder, config, build(config).state_dict())
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    """So many JPEGs on disk, every other one with roadwork, in groups of two, as tagged."""

    def call(count: int, *, split: str = "test", size: tuple[int, int] = (96, 64), seed: int = 9) -> list[Example]:
        made = []
        for place, data in enumerate(photos(count, size=size, seed=seed)):
            path = tmp_path / f"{split}-{seed}-{place:03}.jpg"
            path.write_bytes(data)
            tags = {"weather": ("sun", "rain", "fog")[place % 3]}
            made.append(Example(path, place % 2 == 0, f"drive {place // 2}", split, source="drives", tags=tags))
        return made

    return call


@pytest.fixture
def judged(pictures: Pictures) -> Callable[..., Judged]:
    """Made-up answers to real pictures, judged: right so often, and named as given."""

    def call(count: int = 24, *, right: float = 0.7, name: str = "drives", rival: float | None = None) -> Judged:
        examples = pictures(count)
        other = None if rival is None else made_up(examples, rival, seed=2)
        told = made_up(examples, right, seed=1)
        return judge_answers(Shown(name, examples), told, [], other, Assumptions(challenges=100))

    return call


def made_up(examples: list[Example], right: float, *, seed: int) -> Answers:
    rng = np.random.default_rng(seed)
    signs = np.where(rng.random(len(examples)) < right, 1.0, -1.0) * [1 if one.label else -1 for one in examples]
    sample: Sample = sample_of(examples, signs * rng.uniform(0.2, 3.0, len(examples)))
    return Answers("1.0.0", tuple(examples), sample)
