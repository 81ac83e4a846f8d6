from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from streetvision.engine.decode import DecodeLimits, decode
from streetvision.engine.views import ResizeRule
from streetvision.scenes.augment import apply_recipe, draw_recipes
from streetvision.scenes.scenes import render_scene
from streetvision.training.augmenting import Augmentation, GpuAugment, plain_batch, step_generator
from streetvision.training.batch import RawBatch
from streetvision.training.decoding import decode_canvas

CPU = torch.device("cpu")
PLAIN = Augmentation(size=64, validators=0.0, sideways=0.0, least=1.0, camera=0.0)


def photo(seed: int = 4, size: tuple[int, int] = (400, 300)) -> bytes:
    buffer = BytesIO()
    Image.fromarray(render_scene(seed, size=size).image).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def raw_of(*pictures: bytes, canvas: int = 128) -> RawBatch:
    canvases = [decode_canvas(data, canvas) for data in pictures]
    count = len(canvases)
    return RawBatch(
        images=torch.from_numpy(np.stack([one.pixels for one in canvases])),
        sizes=torch.tensor([(one.width, one.height) for one in canvases], dtype=torch.int32),
        labels=torch.arange(count) % 2.0,
        weights=torch.ones(count),
        indices=torch.arange(count),
    )


def served_by_the_miner(data: bytes) -> torch.Tensor:
    pixels = decode(data, size=64, limits=DecodeLimits(), resize="squash").array
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)


def generator(step: int = 0) -> torch.Generator:
    return step_generator(CPU, seed=1, step=step)


def squares(count: int) -> RawBatch:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (count, 64, 64, 3), dtype=np.uint8))
    sizes = torch.tensor([[640, 480]], dtype=torch.int32).expand(count, 2)
    return RawBatch(images, sizes, torch.zeros(count), torch.ones(count), torch.arange(count))


@pytest.mark.parametrize("size", [96, 224, 256])
@pytest.mark.parametrize("validators", [0.0, 0.4, 1.0])
def test_a_batch_has_the_models_size_and_range(size: int, validators: float) -> None:
    batch = GpuAugment(Augmentation(size=size, validators=validators))(squares(5), generator())
    assert batch.pixels.shape == (5, 3, size, size)
    assert batch.pixels.dtype == torch.float32
    assert batch.pixels.min() >= 0
    assert batch.pixels.max() <= 255
    assert batch.patches is None


def test_all_of_it_comes_from_the_generator() -> None:
    augment, raw = GpuAugment(Augmentation(size=64)), squares(6)
    one, two, three = (augment(raw, generator(step)).pixels for step in (7, 7, 8))
    assert torch.equal(one, two)
    assert not torch.equal(one, three)


def test_the_validators_share_holds_over_many_small_batches() -> None:
    augment = GpuAugment(Augmentation(size=64, validators=0.3))
    counts = [augment._degraded_count(2, generator(step).initial_seed()) for step in range(1000)]
    assert set(counts) <= {0, 1}
    assert np.mean(counts) == pytest.approx(0.6, abs=0.05)


def test_bfloat16_around_it_does_not_reach_the_pixels() -> None:
    augment, raw = GpuAugment(Augmentation(size=64)), squares(6)
    with torch.autocast("cpu", torch.bfloat16):
        inside = augment(raw, generator()).pixels
    assert torch.equal(inside, augment(raw, generator()).pixels)


@pytest.mark.parametrize("rule", ["squash", "crop"])
@pytest.mark.parametrize("size", [(400, 300), (300, 400), (128, 96)])
def test_judging_sees_what_service_sees(rule: ResizeRule, size: tuple[int, int]) -> None:
    data = photo(size=size)
    served = decode(data, size=64, limits=DecodeLimits(), resize=rule).array.astype(np.float32)
    judged = plain_batch(raw_of(data), 64, rule).pixels[0].permute(1, 2, 0).numpy()
    assert np.abs(judged - served).mean() < 3.0


def test_without_variation_a_whole_picture_is_what_service_sees_or_its_mirror() -> None:
    data = photo()
    served = served_by_the_miner(data)
    seen = GpuAugment(PLAIN)(raw_of(*[data] * 8), generator()).pixels
    gaps = torch.stack([(seen - way).abs().mean(dim=(1, 2, 3)) for way in (served, served.flip(2))])
    assert gaps.min(dim=0).values.max() < 3.0
    assert {0, 1} == set(gaps.argmin(dim=0).tolist())


def test_sideways_pictures_lie_on_their_side() -> None:
    data = photo()
    served = served_by_the_miner(data)
    seen = GpuAugment(replace(PLAIN, sideways=1.0))(raw_of(*[data] * 8), generator()).pixels
    ways = [way.rot90(turns, (1, 2)) for way in (served, served.flip(2)) for turns in (1, 3)]
    gaps = torch.stack([(seen - way).abs().mean(dim=(1, 2, 3)) for way in ways])
    assert gaps.min(dim=0).values.max() < 3.0


def test_a_validators_picture_is_what_the_numpy_version_makes() -> None:
    """Level 0 has one geometry: the central square at 224 pixels, upright or mirrored."""
    data = photo(size=(640, 480))
    with Image.open(BytesIO(data)) as image:
        pixels = np.asarray(image)
    recipes = draw_recipes(np.random.default_rng(0), np.array([0]), 640, 480)
    theirs = torch.from_numpy(apply_recipe(pixels, recipes, 0, np.random.default_rng(0)).copy()).permute(2, 0, 1)
    how = Augmentation(size=224, validators=1.0, levels={0: 1.0}, camera=0.0)
    ours = GpuAugment(how)(raw_of(data, data, canvas=448), generator()).pixels
    gaps = torch.stack([(ours - way).abs().mean(dim=(1, 2, 3)) for way in (theirs, theirs.flip(2))])
    assert gaps.min(dim=0).values.max() < 4.0


def test_targets_and_weights_stay_with_their_pictures() -> None:
    raw = raw_of(photo(1), photo(2), photo(3))
    batch = GpuAugment(Augmentation(size=64))(raw, generator())
    assert torch.equal(batch.targets, raw.labels)
    assert torch.equal(batch.weights, raw.weights)
