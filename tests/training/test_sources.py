from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from streetvision.training.compositor import Compositor
from streetvision.training.photographs import Photographs
from streetvision.training.pool import ScenePool
from streetvision.training.rendering import Chunk, SceneWorkers, render_chunk
from streetvision.training.sources import CLOSE_UPS, STREETS, Sources, SourceSettings, plain
from streetvision.training.sprite_bank import sprite_bank

CPU = torch.device("cpu")
SETTINGS = SourceSettings(fresh=8, capacity=16, size=(96, 72))


@pytest.fixture(scope="module")
def photographs() -> Photographs:
    some = torch.randint(60, 180, (2, 48, 64, 3), generator=torch.Generator().manual_seed(5), dtype=torch.uint8)
    return Photographs(some, some[:1], some, some, some)


@pytest.fixture(scope="module")
def drawn() -> ScenePool:
    ring = ScenePool(16, (128, 96), CPU)
    ring.add(render_chunk(1_000_000_000, np.zeros((16, 96, 128, 3), np.uint8)))
    return ring


class Waits(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes operations that make the host wait for a GPU: values read, sizes that depend on them, constants sent."""

    WAITING = ("nonzero", "masked_select", "_local_scalar_dense", "_unique2", "lift_fresh")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        places = args[1] if name in ("index", "index_put_", "_index_put_impl_") else ()
        if name in self.WAITING or any(one is not None and one.dtype == torch.bool for one in places):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def idle() -> SceneWorkers:
    """Workers that have nothing new."""
    return cast(SceneWorkers, SimpleNamespace(poll=lambda *_, **__: False))


def gen() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def sources_of(photographs: Photographs, drawn: ScenePool) -> Sources:
    bank = sprite_bank(8, 7, CPU, side=32)
    styles = {"street": STREETS, "close": CLOSE_UPS}
    compositors = {name: Compositor(bank, photographs, SETTINGS.size, style) for name, style in styles.items()}
    return Sources(drawn, idle(), compositors, photographs, SETTINGS)


def test_photographs_come_first_and_have_features_alone(photographs: Photographs, drawn: ScenePool) -> None:
    batch = sources_of(photographs, drawn).batch(50, 64, gen())
    assert batch.patches is not None
    assert batch.pixels.shape == (50, 3, 64, 64)
    assert not batch.weights[:9].any()
    assert not batch.patches[1:9:2].any()
    assert not batch.weights[:16:2].any()
    assert batch.weights[17:].mean() > 0.5


def test_without_photographs_and_sprites_everything_is_drawn(drawn: ScenePool) -> None:
    sources = Sources(drawn, idle(), {}, None, SETTINGS)
    sources.fill(8, gen())
    batch = sources.batch(12, 64, gen())
    assert len(batch.pixels) == 12
    assert batch.weights.any()


def test_every_kind_of_photograph_is_shown(photographs: Photographs) -> None:
    flat = {kind: torch.full((1, 8, 8, 3), 20 + 50 * at, dtype=torch.uint8) for at, kind in enumerate(
        ("street", "other", "ground", "wall", "sky"))}  # fmt: skip
    batch = plain(Photographs(**flat), 100, 32, gen())
    assert len(batch.pixels) == 100
    assert torch.isfinite(batch.pixels).all()
    assert batch.pixels.mean(dim=(1, 2, 3)).std() > 20.0
    only_streets = Photographs(flat["street"], *(flat["street"][:0] for _ in range(4)))
    assert len(plain(only_streets, 7, 32, gen()).pixels) == 7


def test_the_host_waits_for_no_batch_and_so_runs_ahead_of_the_device(
    photographs: Photographs, drawn: ScenePool
) -> None:
    sources = sources_of(photographs, drawn)
    sources.batch(50, 64, gen())
    sources.batches = 0
    with Waits() as waits:
        sources.batch(50, 64, gen())
    assert waits.found == []
    with Waits() as waits:
        torch.ones(3)[torch.ones(3, dtype=torch.bool)].max().item()
    assert waits.found == ["index", "_local_scalar_dense"]


def test_only_scenes_without_works_are_drawn_as_such() -> None:
    ring = ScenePool(8, (4, 4), CPU)
    objects = np.zeros((6, 8, 6), np.float32)
    objects[[0, 2, 5], 1, 4] = 0.7
    images = np.repeat(np.arange(6, dtype=np.uint8), 48).reshape(6, 4, 4, 3)
    ring.add(Chunk(images, np.zeros(6, np.bool_), objects))
    assert set(ring.without_works(200, gen())[:, 0, 0, 0].tolist()) == {1, 3, 4}
    ring.objects[:, :, 4] = 1.0
    assert len(ring.without_works(5, gen())) == 5
