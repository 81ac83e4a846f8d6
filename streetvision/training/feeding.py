"""What a run's network is fed with, and how many steps that makes."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch

from streetvision.base.resources import usable_memory
from streetvision.errors import reason
from streetvision.models.folder import require_weights
from streetvision.models.network import StreetVisionNet
from streetvision.models.versions import hash_file
from streetvision.sources.dataset import Example
from streetvision.sources.source import SourceError
from streetvision.training.augmenting import Augmentation, GpuAugment
from streetvision.training.batch import RawBatch
from streetvision.training.canvas_cache import CanvasCache
from streetvision.training.canvas_memory import CanvasMemory, canvas_bytes, local_processes, memory_room
from streetvision.training.decode_pool import DecodePool, pool_workers
from streetvision.training.features import FeatureStore, TokenLoader, Views, compute
from streetvision.training.keeping import Tell
from streetvision.training.loading import CANVAS_SCALE, Loader, Loading
from streetvision.training.pictures import Pictures
from streetvision.training.reading import Canvases
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


class Closing(Protocol):
    """Something that is held open."""

    def close(self) -> None:
        """Let go of it."""


@dataclass(frozen=True)
class Feed:
    """Loaders of one process."""

    train: Loader | TokenLoader
    val: Loader | TokenLoader | Share
    examples: list[Example]
    """Those that the training loader's indices mean."""
    augment: GpuAugment
    held: Sequence[Closing] = ()
    """What is let go of when the training is over."""

    def close(self) -> None:
        """Let go of it."""
        for one in self.held:
            one.close()

    def total_steps(self, recipe: Recipe) -> int:
        """Steps of the optimiser in the whole run."""
        in_epoch = math.ceil(len(self.train) / recipe.run.accumulate)
        return recipe.optimiser.steps or max(1, round(recipe.optimiser.epochs * in_epoch))

    def unreadable(self) -> dict[Path, str]:
        """Pictures that were left out, with the reasons."""
        return getattr(self.train, "unreadable", {}) | getattr(self.val, "unreadable", {})


class Share:
    """One process's part of what is judged: as many batches as all others get, under the pictures' own numbers."""

    def __init__(
        self,
        examples: Sequence[Example],
        loading: Loading,
        place: Place,
        *,
        cache: Canvases | None = None,
        pool: DecodePool | None = None,
    ) -> None:
        self._place = place
        self._numbers = share_of(len(examples), place)
        mine, alone = [examples[number] for number in self._numbers], replace(loading, rank=0, world=1)
        self._loader = Loader(mine, alone, device=place.device, cache=cache, pool=pool)

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
    return _picture_feed(of, augment)


def _picture_feed(of: Ingredients, augment: GpuAugment) -> Feed:
    how, judging = of.loading(shuffle=True), of.loading(shuffle=False)
    cache, val_cache = caches(of, how.canvas)
    pool = _pool(of, how)
    held = [one for one in (cache, val_cache, pool) if one is not None]
    try:
        train = Loader(of.pictures.train, how, device=of.place.device, cache=cache, pool=pool)
        val = Share(of.pictures.val, judging, of.place, cache=val_cache, pool=pool)
        return Feed(train, val, train.examples, augment, held)
    except BaseException:
        for one in held:
            one.close()
        raise


def caches(of: Ingredients, side: int) -> tuple[Canvases | None, Canvases | None]:
    """Where decoded pictures are kept, those to learn from and those to judge on, in this order of need."""
    run, train = of.recipe.run, of.pictures.train
    if run.cache == "none":
        return None, None
    if run.cache == "disk":
        most = int(run.cache_gib * 2**30) or 1 << 62
        kept = CanvasCache(of.start.parent.parent / CANVASES, train, side, max_bytes=most)
        _tell_kept(of, "on disk", kept.capacity, len(train), side)
        return kept, None
    room = memory_room(run.cache_gib, usable_memory(), local_processes())
    first = CanvasMemory(len(train), side, max_bytes=room)
    left, judged = room - first.capacity * canvas_bytes(side), len(share_of(len(of.pictures.val), of.place))
    second = CanvasMemory(judged, side, max_bytes=left)
    _tell_kept(of, "in memory", first.capacity + second.capacity, len(train) + judged, side)
    return first, second


def _tell_kept(of: Ingredients, where: str, kept: int, total: int, side: int) -> None:
    gib = round(kept * canvas_bytes(side) / 2**30, 2)
    of.tell({"event": "kept", "where": where, "pictures": kept, "total": total, "gib": gib})


def _pool(of: Ingredients, how: Loading) -> DecodePool | None:
    """Processes that decode, where they pay."""
    wanted = 0 if how.decoder == "gpu" else pool_workers(of.recipe.run.workers, of.place.device)
    if not wanted:
        return None

    def tell(problem: str) -> None:
        of.tell({"event": "warning", "why": problem})

    areas = 2 * (how.ahead + 1)  # while one loader is judged with, the other one may have begun already
    try:
        return DecodePool(wanted, how.batch, how.canvas, areas=areas, tell=tell)
    except OSError as error:
        tell(f"the system lets no processes decode ({reason(error)}), so threads do")
        return None


def share_of(count: int, place: Place) -> list[int]:
    """Which of `count` pictures a process judges: as many as any other, some twice where they do not come out even."""
    each = -(-count // place.world)
    return [(place.rank + place.world * row) % count for row in range(each)]


def _token_loaders(of: Ingredients, augment: GpuAugment) -> list[TokenLoader]:
    """For training with several views of each picture, for judging with the plain one."""
    pool = _pool(of, of.loading(shuffle=False))
    parts = (("train", of.pictures.train, of.recipe.augment.copies), ("val", of.pictures.val, 1))
    loaders = []
    with nullcontext() if pool is None else closing(pool):
        for part, examples, count in parts:
            store = _features(of, part, examples, Views(count, augment, of.recipe.run.seed), pool)
            loaders.append(TokenLoader(store, examples, of.loading(shuffle=part == "train")))
    return loaders


def _features(
    of: Ingredients, part: str, examples: tuple[Example, ...], views: Views, pool: DecodePool | None
) -> FeatureStore:
    """What the frozen backbone says of one part of the pictures, once what is missing was computed."""
    folder, weights = of.start.parent.parent / FEATURES, hash_file(require_weights(of.start))
    store = FeatureStore(folder, weights=weights, net=of.net, kind=of.recipe.model.head, views=views)
    progress, batch = _told(of.tell, part), of.recipe.run.batch
    unreadable = compute(of.net, store, examples, batch=batch, device=of.place.device, progress=progress, pool=pool)
    tell_unreadable(unreadable, of.tell)
    _require_readable(unreadable, examples)
    return store


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
