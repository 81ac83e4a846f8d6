"""A real GPU that runs out of memory in training: the sentence names a batch, and that batch fits."""

from __future__ import annotations

import gc
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from streetvision.models.network import build, tiny_config
from streetvision.sources.dataset import Example
from streetvision.training.augmenting import Augmentation, GpuAugment
from streetvision.training.feeding import Place
from streetvision.training.fit import make_trainer
from streetvision.training.loading import CANVAS_SCALE, Loader, Loading
from streetvision.training.memory import out_of_memory
from streetvision.training.module import TrainingModule
from streetvision.training.recipe import OptimiserRecipe, Recipe, RunRecipe, TuneRecipe
from streetvision.training.run_folder import RunFolder

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: run make test-gpu on a GPU machine"),
]

DEVICE = torch.device("cuda", 0)
SIDE = 64
LEFT = 3 << 30
"""Bytes that the test leaves free."""
WANTED = 4096


def train(folder: Path, batch: int, *, graphs: bool) -> tuple[TrainingModule, GpuAugment, Exception | None]:
    """Two steps, and what they ended with."""
    path = folder / "picture.png"
    Image.new("RGB", (80, 60), (90, 120, 30)).save(path)
    examples = [Example(path, number % 2 == 0, str(number), "train") for number in range(2)]
    how = Recipe(
        tune=TuneRecipe(method="full"),
        optimiser=OptimiserRecipe(steps=2),
        run=RunRecipe(batch=batch, log="none", graphs=graphs),
    )
    augment = GpuAugment(Augmentation(size=SIDE))
    net = build(replace(tiny_config(depth=12, width=256), input_size=SIDE))
    module = TrainingModule(net, how, total_steps=2, augment=augment)
    loader = Loader(examples, Loading(batch, CANVAS_SCALE * SIDE), device=DEVICE)
    trainer = make_trainer(how, Place(0, 1, DEVICE), RunFolder(folder), 2, [])
    try:
        trainer.fit(module, loader)
    except torch.cuda.OutOfMemoryError as error:
        return module, augment, error
    return module, augment, None


@pytest.mark.parametrize("graphs", [False, True])
def test_the_batch_that_is_named_fits(tmp_path: Path, graphs: bool) -> None:
    torch.cuda.empty_cache()
    ballast = torch.empty(torch.cuda.mem_get_info(DEVICE)[0] - LEFT, dtype=torch.uint8, device=DEVICE)
    try:
        module, augment, error = train(tmp_path, WANTED, graphs=graphs)
        assert error is not None
        said = str(out_of_memory(error, module, augment, DEVICE))
        found = re.search(r"no memory for 4096 pictures at a time: (\d+) would fit", said)
        assert found, said
        del module, augment, error
        gc.collect()  # the first trainer's parts hold each other, and some lie on the GPU
        torch.cuda.empty_cache()
        assert train(tmp_path, int(found[1]), graphs=graphs)[2] is None
    finally:
        del ballast
        torch.cuda.empty_cache()
