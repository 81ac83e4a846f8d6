"""A router made from two small models and a dataset of pictures."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch

from streetvision.errors import OperatorError
from streetvision.evaluation import router_making
from streetvision.evaluation.predictions import Serving
from streetvision.evaluation.router_making import RouterWish, make_router, router_pictures
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.network import build, tiny_config
from streetvision.sources.dataset import Example

from ..photos import photos

CPU = Serving("cpu", buckets=(1, 8))


@dataclass
class Pictures:
    """A dataset of these examples."""

    given: list[Example]
    name: str = "drives"
    fingerprint: str = field(default="f" * 64)

    def examples(self, split: str | None = None) -> list[Example]:
        return [one for one in self.given if split in (None, one.split)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    """60 pictures to learn from, 60 to fit to and 20 to judge on, one of which is none."""
    folder = tmp_path_factory.mktemp("pictures")
    given = []
    for place, data in enumerate(photos(140, size=(40, 32))):
        path = folder / f"{place}.jpg"
        path.write_bytes(b"no picture" if place == 139 else data)
        split = "train" if place < 60 else "val" if place < 120 else "test"
        given.append(Example(path, place % 2 == 0, f"{place}", split))
    return Pictures(given)


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    torch.set_num_threads(1)
    made = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        config = replace(tiny_config(version=f"1.{seed}.0", depth=1, width=64), input_size=32 + 16 * seed)
        net = build(config)
        with torch.no_grad():
            net.head.fc.weight.normal_()
        folder = tmp_path_factory.mktemp("models") / "model"
        save_checkpoint(folder, config, net.state_dict())
        made.append(folder)
    return made


def test_a_router_is_fitted_on_val_and_judged_on_test_too(dataset: Pictures, members: list[Path]) -> None:
    done: list[int] = []
    made = asyncio.run(make_router(members, dataset, RouterWish("both", 0.3), CPU, progress=done.append))
    assert sum(done) == 60 + 2 * 80
    assert made.known is not None
    assert len(made.known.mean) == 128
    val, test = made.facts["val"], made.facts["test"]
    assert (val["pictures"], test["pictures"]) == (60, 19)
    assert val["asked"] == pytest.approx(0.3, abs=0.02)
    assert set(val["router"]) == {"accuracy", "mcc", "nll"}
    assert min(val[name]["nll"] for name in ("first", "both")) > 0
    assert made.facts["dataset"] == "drives"


def test_without_distances_nothing_is_learnt_from_train(dataset: Pictures, members: list[Path]) -> None:
    done: list[int] = []
    made = asyncio.run(make_router(members, dataset, RouterWish("unsure", 0.2), CPU, progress=done.append))
    assert (made.known, sum(done)) == (None, 160)


def test_no_more_pictures_are_learnt_from_than_it_takes(dataset: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router_making, "MOST_KNOWN", 25)
    assert len(router_pictures(dataset, RouterWish("far", 0.3))["train"]) == 20


def test_a_dataset_without_the_splits_that_it_takes_is_refused(dataset: Pictures) -> None:
    few = Pictures([one for one in dataset.given if one.split != "train"])
    with pytest.raises(OperatorError, match=r"at least 50 pictures in the split `train` of drives, and there are 0"):
        router_pictures(few, RouterWish("far", 0.3))
    assert router_pictures(few, RouterWish("unsure", 0.3))["val"]
    with pytest.raises(OperatorError, match=r"no pictures in its split `val`"):
        router_pictures(Pictures([one for one in dataset.given if one.split != "val"]), RouterWish("far", 0.3))
