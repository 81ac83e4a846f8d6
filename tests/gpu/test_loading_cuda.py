"""Loading and augmenting on a real GPU: the processor's pictures, and no wait for the device."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from streetvision.scenes.scenes import render_scene
from streetvision.sources.dataset import Example
from streetvision.training import distortions
from streetvision.training.arriving import Arriving
from streetvision.training.augmenting import Augmentation, GpuAugment, plain_batch
from streetvision.training.canvas_memory import CanvasMemory
from streetvision.training.decode_pool import DecodePool
from streetvision.training.gpu_decoding import can_decode
from streetvision.training.loading import Loader, Loading

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: run make test-gpu on a GPU machine"),
]

DEVICE = torch.device("cuda")


def examples(folder: Path, count: int = 10) -> list[Example]:
    made = []
    for number in range(count):
        path = folder / f"{number}.{'png' if number == 3 else 'jpg'}"
        image = Image.fromarray(render_scene(number, size=(200 + 20 * number, 160)).image)
        image.convert("L" if number == 2 else "RGB").save(path, quality=92)
        made.append(Example(path, number % 2 == 0, str(number), "train"))
    return made


@pytest.mark.parametrize("decoder", ["cpu", "gpu"])
def test_the_gpu_loads_what_the_processor_loads(tmp_path: Path, decoder: str) -> None:
    assert can_decode(DEVICE)
    known, how = examples(tmp_path), Loading(batch=4, canvas=96, shuffle=False, decoder=decoder)
    for ours, theirs in zip(Loader(known, how, device=DEVICE), Loader(known, how), strict=True):
        assert ours.images.device.type == "cuda"
        assert torch.equal(ours.sizes.cpu(), theirs.sizes)
        assert torch.equal(ours.labels.cpu(), theirs.labels)
        assert torch.equal(ours.indices.cpu(), theirs.indices)
        gap = (ours.images.cpu().float() - theirs.images.float()).abs()
        assert gap.mean(dim=(1, 2, 3)).max() < 2.5


def test_what_the_gpu_refuses_goes_to_the_processor(tmp_path: Path) -> None:
    known = examples(tmp_path, 8)
    whole = known[4].path.read_bytes()
    known[4].path.write_bytes(whole[:300] + bytes(40) + whole[340:])
    known[6].path.write_bytes(whole[: len(whole) // 2])
    how = Loading(batch=8, canvas=96, shuffle=False, decoder="gpu")
    (ours,) = Loader(known, how, device=DEVICE)
    assert 6 not in ours.indices.tolist()
    assert ours.images.shape == (8, 96, 96, 3)


@pytest.mark.parametrize("decoder", ["cpu", "gpu"])
def test_what_either_decodes_is_kept_for_the_next_epoch(tmp_path: Path, decoder: str) -> None:
    known, how = examples(tmp_path), Loading(batch=4, canvas=96, shuffle=False, decoder=decoder)
    kept = CanvasMemory(len(known), 96, max_bytes=2**30)
    loader = Loader(known, how, device=DEVICE, cache=kept)
    first = list(loader)
    for one in known:
        one.path.unlink()
    loader.position = (0, 0)
    for before, again in zip(first, loader, strict=True):
        assert torch.equal(before.images, again.images)
        assert torch.equal(before.sizes, again.sizes)
    assert not loader.unreadable


def test_processes_feed_a_gpu_as_threads_do(tmp_path: Path) -> None:
    known, how = examples(tmp_path), Loading(batch=4, canvas=96, shuffle=False)
    pool = DecodePool(2, 4, 96, areas=8, tell=print)
    try:
        for ours, theirs in zip(Loader(known, how, device=DEVICE, pool=pool), Loader(known, how), strict=True):
            assert torch.equal(ours.images.cpu(), theirs.images)
            assert torch.equal(ours.indices.cpu(), theirs.indices)
    finally:
        pool.close()


def test_a_loss_is_fetched_without_a_wait() -> None:
    loss = torch.arange(3.0, device=DEVICE)
    Arriving(loss)
    torch.cuda.set_sync_debug_mode("error")
    try:
        arriving = Arriving(loss * 2)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert arriving.values() == [0.0, 2.0, 4.0]


def test_augmenting_never_waits_for_the_device(tmp_path: Path) -> None:
    augment = GpuAugment(Augmentation(size=96))
    (raw,) = Loader(examples(tmp_path), Loading(batch=10, canvas=192, shuffle=False), device=DEVICE)
    generator = torch.Generator(DEVICE)
    for step in range(2):
        augment(raw, generator.manual_seed(step))
        plain_batch(raw, 96)
    torch.cuda.set_sync_debug_mode("error")
    try:
        first = augment(raw, generator.manual_seed(5))
        plain_batch(raw, 96)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(first.pixels, augment(raw, generator.manual_seed(5)).pixels)


@pytest.mark.parametrize("name", ["saturation", "contrast", "resample", "blur"])
def test_distortions_are_the_processors(name: str) -> None:
    pixels = torch.rand(6, 3, 64, 80) * 255
    severity = torch.arange(6)
    generator = torch.Generator()
    ours = distortions.apply(pixels.to(DEVICE), name, severity.to(DEVICE), torch.Generator(DEVICE))
    torch.testing.assert_close(ours.cpu(), distortions.apply(pixels, name, severity, generator), rtol=0, atol=0.5)
