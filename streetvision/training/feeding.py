"""What a run's network is fed with, and how many steps that makes."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from streetvision.models.checkpoint import require_weights
from streetvision.models.dinov3 import StreetVisionNet
from streetvision.models.versions import hash_file
from streetvision.sources.dataset import Example
from streetvision.sources.source import SourceError
from streetvision.training.augmenting import Augmentation, GpuAugment
from streetvision.training.batch import RawBatch
from streetvision.training.canvas_cache import CanvasCache
from streetvision.training.features import FeatureStore, TokenLoader, Views, compute
from streetvision.training.keeping import Tell
from streetvision.training.loading import CANVAS_SCALE, Loader, Loading
from streetvision.training.pictures import Pictures
from streetvision.training.recipe import Recipe

FEATURES, CANVASES = "features", "canvases"
"""In the folder of all runs."""
NAMED = 20
"""Unreadable pictures that are told by name."""
MOST_UNREADABLE = 0.5
"""Share of the pictures that may be unreadable before the training is not worth having."""


@dataclass(frozen=True, slots=True)
class Place:
    """Which of how many processes this is, and its device."""

    rank: int
    world: int
    device: torch.device

    @classmethod
    def here(cls, accelerator: str) -> Place:
        """As the launcher of several processes says by the environment; alone without one."""
        rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        on_gpu = accelerator != "cpu" and torch.cuda.is_available()
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if on_gpu else torch.device("cpu")
        return cls(rank, world, device)


@dataclass(frozen=True)
class Feed:
    """Loaders of one process."""

    train: Loader | TokenLoader
    val: Loader | TokenLoader | Share
    examples: list[Example]
    """Those that the training loader's indices mean."""
    augment: GpuAugment
    cache: CanvasCache | None = None

    def close(self) -> None:
        """Let go of what was kept open."""
        if self.cache is not None:
            self.cache.close()

    def total_steps(self, recipe: Recipe) -> int:
        """Steps of the optimiser in the whole run."""
        in_epoch = math.ceil(len(self.train) / recipe.run.accumulate)
        return recipe.optimiser.steps or max(1, round(recipe.optimiser.epochs * in_epoch))

    def unreadable(self) -> dict[Path, str]:
        """Pictures that were left out, with the reasons."""
        return getattr(self.train, "unreadable", {}) | getattr(self.val, "unreadable", {})


class Share:
    """One process's part of what is judged: as many batches as all others get, under the pictures' own numbers."""

    def __init__(self, examples: list[Example], loading: Loading, place: Place) -> None:
        self._count, self._place = len(examples), place
        each = -(-len(examples) // place.world)
        self._numbers = [(place.rank + place.world * row) % len(examples) for row in range(each)]
        self._loader = Loader(
            [examples[number] for number in self._numbers], replace(loading, rank=0, world=1), device=place.device
        )

    @property
    def unreadable(self) -> dict[Path, str]:
        """As the loader's."""
        return self._loader.unreadable

    def __len__(self) -> int:
        """Batches."""
        return len(self._loader)

    def __iter__(self) -> Iterator[RawBatch]:
        """All of them, every time."""
        self._loader.position = (0, 0)
        numbers = torch.tensor(self._numbers, device=self._place.device)
        for raw in self._loader:
            yield replace(raw, indices=numbers[raw.indices])


@dataclass(frozen=True)
class Ingredients:
    """All that a feed is made of."""

    recipe: Recipe
    pictures: Pictures
    net: StreetVisionNet
    start: Path
    """The folder of the network's weights."""
    place: Place
    tell: Tell

    def augmentation(self) -> Augmentation:
        """How pictures are varied."""
        how = self.recipe.augment
        return Augmentation(
            self.net.input_size, validators=how.validator, sideways=how.sideways, least=how.least, camera=how.camera
        )

    def loading(self, *, shuffle: bool) -> Loading:
        """How this process loads."""
        recipe = self.recipe
        return Loading(
            recipe.run.batch,
            CANVAS_SCALE * self.net.input_size,
            seed=recipe.run.seed,
            shuffle=shuffle,
            positive_share=0.5 if recipe.data.balance == "classes" else None,
            rank=self.place.rank,
            world=self.place.world,
            decoder=recipe.run.decoder,
        )


def make_feed(of: Ingredients) -> Feed:
    """Loaders of pictures, or of what the frozen backbone says of them where the head learns alone."""
    augment = GpuAugment(of.augmentation())
    if of.recipe.tune.method == "head":
        train, val = _token_loaders(of, augment)
        return Feed(train, val, train.examples, augment)
    how, cache = of.loading(shuffle=True), None
    if of.recipe.run.cache_gib:
        folder, most = of.start.parent.parent / CANVASES, int(of.recipe.run.cache_gib * 2**30)
        cache = CanvasCache(folder, of.pictures.train, how.canvas, max_bytes=most)
    loader = Loader(of.pictures.train, how, device=of.place.device, cache=cache)
    val_share = Share(list(of.pictures.val), of.loading(shuffle=False), of.place)
    return Feed(loader, val_share, loader.examples, augment, cache)


def _token_loaders(of: Ingredients, augment: GpuAugment) -> list[TokenLoader]:
    """For training with several views of each picture, for judging with the plain one."""
    folder, weights = of.start.parent.parent / FEATURES, hash_file(require_weights(of.start))
    parts = (("train", of.pictures.train, of.recipe.augment.copies), ("val", of.pictures.val, 1))
    loaders = []
    for part, examples, count in parts:
        views = Views(count, augment, of.recipe.run.seed)
        store = FeatureStore(folder, weights=weights, net=of.net, kind=of.recipe.model.head, views=views)
        progress = _told(of.tell, part)
        unreadable = compute(
            of.net, store, examples, batch=of.recipe.run.batch, device=of.place.device, progress=progress
        )
        tell_unreadable(unreadable, of.tell)
        _require_readable(unreadable, examples)
        loaders.append(TokenLoader(store, examples, of.loading(shuffle=part == "train")))
    return loaders


def tell_unreadable(found: Mapping[Path, str], tell: Tell) -> None:
    """Tell which pictures were left out."""
    if found:
        named = [f"{path}: {why}" for path, why in list(found.items())[:NAMED]]
        tell({"event": "unreadable", "count": len(found), "pictures": named})


def _told(tell: Tell, part: str) -> Callable[[int, int], None]:
    done = 0

    def progress(more: int, total: int) -> None:
        nonlocal done
        done += more
        tell({"event": "features", "part": part, "done": min(done, total), "total": total})

    return progress


def _require_readable(unreadable: dict[Path, str], examples: tuple[Example, ...]) -> None:
    if len(unreadable) > MOST_UNREADABLE * len(examples):
        path, why = next(iter(unreadable.items()))
        raise SourceError(
            f"{len(unreadable):,} of {len(examples):,} pictures cannot be read, such as {path} ({why}): see "
            "`streetvision data check`"
        )
