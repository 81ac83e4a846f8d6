"""A whole run on the CPU: it learns, its best weights become a version that serves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from streetvision.models.network import load
from streetvision.registry.registry import Registry
from streetvision.training.batch import Batch
from streetvision.training.feeding import Place
from streetvision.training.fit import make_trainer
from streetvision.training.module import TrainingModule
from streetvision.training.pictures import gather
from streetvision.training.recipe import Recipe
from streetvision.training.run_folder import DONE, RunFolder
from streetvision.training.running import Surroundings, train

from .nets import SIZE, batch, recipe, small_net
from .pictures import drawn_set, small_run

MODEL = {"weights": "active", "input_size": SIZE, "name": "small"}


def quick(method: str = "full", **changes: Any) -> Recipe:
    sections: dict[str, dict[str, Any]] = {
        "model": MODEL,
        "tune": {"method": method, "rank": 4},
        "optimiser": {"lr": 3e-3, "epochs": 6, "ema": 0.0 if method == "head" else 0.5},
        "augment": {"copies": 2},
        "run": {"batch": 8, "log": "none"},
    }
    for name, keys in changes.items():
        sections[name] = sections.get(name, {}) | keys
    return recipe(**sections)


def around(state: Path, told: list[dict[str, Any]] | None = None, **more: Any) -> Surroundings:
    tell = (lambda event: None) if told is None else told.append
    return Surroundings(
        Registry(state / "models"), tell, lambda: "2026-11-30T12:00:00+00:00", accelerator="cpu", **more
    )


@pytest.mark.parametrize("method", ["head", "lora", "full"])
def test_a_run_becomes_a_version_that_serves(tmp_path: Path, method: str) -> None:
    told: list[dict[str, Any]] = []
    pictures = gather([drawn_set(tmp_path / "set")])
    run = small_run(tmp_path, quick(method), pictures)
    added = train(run, pictures, around(tmp_path, told))
    assert added.servable, added.why_not
    assert (added.version, run.record().state) == ("0.1.0", DONE)
    assert added.metrics["auc"] > 0.9
    assert added.card["data"]["fingerprint"] == pictures.fingerprint
    assert added.card["recipe"]["tune"]["method"] == method
    loaded = load(added.folder)
    images = torch.zeros(2, SIZE, SIZE, 3, dtype=torch.uint8)
    images[0, 8:24, 8:24] = torch.tensor([250, 120, 10], dtype=torch.uint8)
    with torch.no_grad():
        logits, _ = loaded.net.forward_uint8(images)
    assert logits[0] > logits[1]
    events = {event["event"] for event in told}
    assert {"progress", "validation"} <= events
    assert [line["step"] for line in run.metrics()] == [3, 6, 9, 12, 15, 18]


@pytest.mark.parametrize(("log", "kept"), [("tensorboard", "events.out.tfevents.*"), ("wandb", "wandb/offline-run-*")])
def test_curves_are_kept_beside_the_run(tmp_path: Path, log: str, kept: str, capfd: pytest.CaptureFixture[str]) -> None:
    pictures = gather([drawn_set(tmp_path / "set", 8, val=4)])
    run = small_run(tmp_path, quick("full", run={"log": log}, optimiser={"epochs": 1}), pictures)
    train(run, pictures, around(tmp_path))
    assert list(run.logs.glob(kept))
    assert capfd.readouterr() == ("", "")


class One(IterableDataset[Batch]):
    """A single batch."""

    def __iter__(self) -> Iterator[Batch]:
        yield batch()


class Fused(TrainingModule):
    """With the optimiser as it is on a GPU."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), fused=True)


@pytest.mark.filterwarnings("ignore")
def test_gradients_are_clipped_for_a_gpus_optimiser_too(tmp_path: Path) -> None:
    how = quick(optimiser={"clip": 1e-3}, run={"precision": "bf16", "log": "none"})
    module = Fused(small_net(), how, total_steps=1)
    batches: DataLoader[Batch] = DataLoader(One(), batch_size=None)
    make_trainer(how, Place(0, 1, torch.device("cpu")), RunFolder(tmp_path), 1, []).fit(module, batches)
    gradients = [value.grad for value in module.parameters() if value.grad is not None]
    assert torch.nn.utils.get_total_norm(gradients).item() == pytest.approx(1e-3, rel=0.02)
