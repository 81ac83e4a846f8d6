from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from streetvision.base.process_pool import map_on_cores
from streetvision.models.config import ModelConfig
from streetvision.models.network import build, load
from streetvision.scenes.scenes import render_scene
from streetvision.training import bundle, evaluation, held_out
from streetvision.training.bundle import MeasureSettings, bundled_config, measure_bundle, train_bundle
from streetvision.training.bundled_loss import loss_of
from streetvision.training.bundled_settings import TrainSettings, learning_rate, scaled_down
from streetvision.training.jitter import jitter
from streetvision.training.learner import TrainingNet, make_learner, make_optimizer, tied
from streetvision.training.optimisers import Together
from streetvision.training.pool import MIXTURE, WHOLE, ScenePool, draw_views, in_view
from streetvision.training.rendering import MAX_OBJECTS, SceneWorkers, pack_objects, render_chunk
from streetvision.training.teacher import ImageNetFeatures
from streetvision.training.train import Material
from streetvision.training.views import Dice

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pool() -> ScenePool:
    ring = ScenePool(24, (128, 96), CPU)
    ring.add(render_chunk(1_000_000_000, np.zeros((24, 96, 128, 3), np.uint8)))
    return ring


def photo_folder(folder: Path) -> Path:
    """Noise in the place of photographs: some train, some are held out."""
    rng = np.random.default_rng(0)
    for kind, count in (("street", 24), ("ground", 1), ("wall", 1), ("sky", 1)):
        (folder / "photos" / kind).mkdir(parents=True)
        for index in range(count):
            pixels = rng.integers(0, 255, (48, 64, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / kind / f"{kind}{index}.jpg")
    return folder / "photos"


def teacher_file(folder: Path) -> Path:
    """Random weights under the names of a teacher's."""
    state = ImageNetFeatures().backbone.state_dict()
    save_file({name: value.contiguous() for name, value in state.items()}, folder / "teacher.safetensors")
    return folder / "teacher.safetensors"


def quick_config() -> ModelConfig:
    return replace(bundled_config(depth=1), input_size=96)


def test_the_ring_keeps_the_newest_scenes() -> None:
    ring = ScenePool(4, (64, 64), CPU)
    for first in (0, 2, 4):
        ring.add(render_chunk(first, np.zeros((2, 64, 64, 3), np.uint8)))
    assert ring.filled == 4
    assert ring.rendered == 6
    for index, seed in enumerate((4, 5, 2, 3)):
        np.testing.assert_array_equal(ring.images[index].numpy(), render_scene(seed, size=(64, 64)).image)


def test_a_batch_is_augmented_and_labelled_by_what_it_shows(pool: ScenePool) -> None:
    batch = pool.batch(64, 64, 16, torch.Generator().manual_seed(0))
    assert batch.pixels.shape == (64, 3, 64, 64)
    assert 0.0 <= float(batch.pixels.min()) < float(batch.pixels.max()) <= 255.0
    assert batch.patches is not None
    assert batch.patches.shape == (64, 16)
    assert set(batch.targets.tolist()) == {0.0, 1.0}
    assert set(batch.weights.tolist()) <= {0.0, 1.0}
    assert not batch.patches[batch.targets == 0].any(), "a picture without works has no patch with works"


def test_what_a_crop_cuts_out_is_not_shown() -> None:
    objects = torch.zeros(3, MAX_OBJECTS, 6)
    objects[:, 0] = torch.tensor((0.0, 0.0, 0.2, 0.2, 1.0, 0.04))
    keep = torch.tensor(
        [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]], [[0.8, 0.0, 0.13], [0.0, 1.0, 0.0]]]
    )
    shown, doubtful = in_view(objects, keep)
    assert shown[:, 0].tolist() == [True, False, False]
    assert doubtful[:, 0].tolist() == [False, False, True]
    assert not shown[:, 1:].any()


def boxes(matrices: torch.Tensor, width: int, height: int) -> tuple[torch.Tensor, ...]:
    """Sides [N, 2], angle, left and top [N] of what is shown, in pixels of the picture that was turned."""
    whole = torch.tensor([width, height])
    scaled = matrices * whole[:, None]
    side, angle = scaled[:, :, :2].norm(dim=1), torch.atan(scaled[:, 1, 0] / scaled[:, 0, 0])
    x, y = (scaled[:, :, :2].sum(dim=2) / 2 + scaled[:, :, 2] - whole / 2).unbind(dim=1)
    centre = torch.stack([angle.cos() * x + angle.sin() * y, angle.cos() * y - angle.sin() * x], dim=1) + whole / 2
    left, top = (centre - side / 2).unbind(dim=1)
    return side, angle, left, top


def test_whole_pictures_and_levels_are_mixed() -> None:
    sizes = torch.tensor([[128, 96]]).expand(2000, 2)
    matrices, rows, severities = draw_views(sizes, MIXTURE, Dice(torch.Generator().manual_seed(0)))
    side, angle, left, top = boxes(matrices, 128, 96)
    square = (side[:, 0] - side[:, 1]).abs() < 1e-3
    assert 0.55 < square.float().mean() < 0.75
    assert ((left >= -0.01) & (left + side[:, 0] <= 128.01)).all()
    assert ((top >= -0.01) & (top + side[:, 1] <= 96.01)).all()
    assert (angle[~square] == 0).all()
    assert square[rows].all()
    assert len(rows) == len(severities) == round(2000 * (MIXTURE[2] + MIXTURE[3]))
    assert len(set(rows.tolist())) == len(rows)
    assert severities.bool().any(dim=1).float().mean() > 0.8
    assert WHOLE not in (0, 1, 2, 3)


@pytest.mark.parametrize("mixture", [{WHOLE: 1.0}, {3: 1.0}, {0: 0.5, 2: 0.5}, {1: 0.2, WHOLE: 0.8}])
def test_any_mixture_of_views_can_be_drawn(mixture: dict[int, float]) -> None:
    matrices, rows, severities = draw_views(torch.tensor([[128, 96]]).expand(10, 2), mixture, Dice(torch.Generator()))
    assert matrices.shape == (10, 2, 3)
    assert torch.isfinite(matrices).all()
    assert len(rows) == len(severities) == round(10 * (mixture.get(2, 0.0) + mixture.get(3, 0.0)))


def test_jitter_keeps_range_and_varies() -> None:
    pixels = torch.full((16, 3, 24, 24), 120.0)
    out = jitter(pixels, torch.Generator().manual_seed(0))
    assert 0.0 <= float(out.min()) <= float(out.max()) <= 255.0
    assert out.mean(dim=(1, 2, 3)).std() > 5.0


def test_the_largest_objects_are_packed_first() -> None:
    scene = next(
        s for s in (render_scene(seed, roadwork=True, size=(192, 144)) for seed in range(40)) if len(s.objects) > 2
    )
    table = pack_objects(scene)
    evidence = table[:, 4] * table[:, 5]
    assert table.shape == (MAX_OBJECTS, 6)
    assert (np.diff(evidence) <= 1e-7).all()
    assert evidence[0] == pytest.approx(max(one.visible * one.area / one.legible for one in scene.objects), rel=1e-5)


def test_workers_render_the_seeds_they_are_given() -> None:
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    with SceneWorkers(2, size=(64, 64), first_seed=500, chunk=4) as workers:
        while len(seen) < 3:
            workers.poll(lambda chunk: seen.append((chunk.images.copy(), chunk.labels)), wait_s=10.0)
    known = {render_scene(seed, size=(64, 64)).image.tobytes() for seed in range(500, 540)}
    assert all(image.tobytes() in known for images, _ in seen for image in images)


def test_one_core_maps_in_this_process() -> None:
    assert list(map_on_cores(abs, [-1, 2, -3], workers=1)) == [1, 2, 3]


def test_tied_networks_share_every_parameter() -> None:
    config = quick_config()
    net = build(config)
    coarse = tied(net, config, 64)
    assert [id(p) for p in coarse.parameters()] == [id(p) for p in net.parameters()]
    learner = TrainingNet(net, coarse)
    assert len(list(learner.parameters())) == len(list(net.parameters()))
    for size, patches in ((96, 36), (64, 16)):
        said = learner(torch.rand(2, 3, size, size) * 255)
        assert said.logits.shape == (2,)
        assert said.patches.shape == (2, patches)
        assert said.tokens.shape == (2, patches, bundle.WIDTH)


def test_a_start_is_where_training_begins() -> None:
    config, settings = quick_config(), replace(scaled_down(TrainSettings()), coarse_size=None)
    start = {name: value.half() for name, value in build(config).state_dict().items()}
    learner = make_learner(config, settings, CPU, start)
    assert all(torch.equal(value, start[name].float()) for name, value in learner.net.state_dict().items())


def test_training_lowers_the_loss(pool: ScenePool) -> None:
    torch.manual_seed(0)
    settings = TrainSettings()
    learner = TrainingNet(build(quick_config()))
    optimizer = torch.optim.AdamW(learner.parameters(), lr=1e-3)
    batch = pool.batch(8, 96, 16, torch.Generator().manual_seed(0))
    losses = []
    for _ in range(40):
        logits, patches, _ = learner(batch.pixels)
        loss = loss_of(logits, patches, batch, settings)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * max(losses[:3])


@pytest.mark.parametrize("muon", [False, True])
def test_every_weight_has_one_optimizer(muon: bool) -> None:
    learner = TrainingNet(build(quick_config()))
    made = make_optimizer(learner, TrainSettings(muon=muon))
    optimizers = made.parts if isinstance(made, Together) else [made]
    held = [id(p) for one in optimizers for group in one.param_groups for p in group["params"]]
    assert len(optimizers) == 1 + muon
    assert sorted(held) == sorted(id(p) for p in learner.parameters())


def test_doubtful_pictures_do_not_count_in_the_loss(pool: ScenePool) -> None:
    batch = pool.batch(8, 96, 16, torch.Generator().manual_seed(0))
    batch = replace(batch, weights=torch.tensor([1.0] * 4 + [0.0] * 4))
    logits, patches = torch.zeros(8, requires_grad=True), torch.zeros(8, 36)
    torch.autograd.backward(loss_of(logits, patches, batch, TrainSettings()))
    assert logits.grad is not None
    assert (logits.grad[:4] != 0).all()
    assert (logits.grad[4:] == 0).all()


def test_the_learning_rate_rises_and_falls() -> None:
    settings = TrainSettings(learning_rate=1.0, warmup=0.1)
    rates = [learning_rate(settings, progress / 100) for progress in range(101)]
    assert max(rates) == rates[10] == pytest.approx(1.0)
    assert all(a <= b for a, b in pairwise(rates[:11]))
    assert all(a >= b for a, b in pairwise(rates[10:]))
    assert rates[-1] == pytest.approx(0.01)


def test_a_view_knows_whether_the_crop_kept_the_works() -> None:
    views = [evaluation.scene_views(seed, 64) for seed in range(30, 38)]
    assert all(set(one) == set(evaluation.VIEWS) for one in views)
    for one in views:
        assert one["clean"].label == one["clean"].in_view
        assert all(view.pixels.shape == (64, 64, 3) for view in one.values())
        assert not any(view.in_view and not view.label for view in one.values())


def test_train_measure_and_write_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "NATIVE_SIZES", ((320, 240),))
    folder = tmp_path / "bundled"
    lines: list[str] = []
    settings = replace(scaled_down(TrainSettings()), sprites=0)
    train_bundle(folder, quick_config(), settings, CPU, log=lines.append)
    figures = measure_bundle(folder, MeasureSettings(10, 6, 2, 2, 0, 1), CPU, log=lines.append)
    config = load(folder).config
    assert config.card["figures"] == json.loads(json.dumps(figures))
    assert "made pictures" in config.card["what"]
    assert config.temperature == figures["temperature"]
    assert set(figures["views"]) == {*evaluation.VIEWS, evaluation.NATIVE_VIEW}
    assert figures["training"]["steps"] == 4
    assert "never seen a real photograph of roadwork" in " ".join((folder / "README.md").read_text("utf-8").split())


def test_photographs_and_a_teacher_take_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = photo_folder(tmp_path)
    weights = teacher_file(tmp_path)
    monkeypatch.setattr(held_out, "AT_ONCE", 8)
    monkeypatch.setattr(held_out, "CROPS_PER_LEVEL", 1)
    monkeypatch.setattr(evaluation, "NATIVE_SIZES", ((320, 240),))
    settings = replace(scaled_down(TrainSettings()), max_steps=1, batch=8, first_scenes=16, save_every_s=0.0)
    settings = replace(settings, sources=replace(settings.sources, fresh=8, capacity=16))
    lines: list[str] = []
    material = Material((photos,), (weights,))
    outcome = train_bundle(tmp_path / "one", quick_config(), settings, CPU, material=material, log=lines.append)
    (teacher,) = outcome.teachers
    assert not teacher.training
    assert any("photographs of streets" in line for line in lines)
    assert sum(line.startswith("wrote") for line in lines) == 2, "once on the way and once at the end"
    figures = measure_bundle(
        tmp_path / "one", MeasureSettings(4, 2, 1, 1, 8, 1), CPU, photos=(photos,), log=lines.append
    )
    assert figures["views"]["composites"]["count"] >= 2
    assert figures["views"]["close-ups"]["count"] >= 2
    assert figures["photographs"]["count"] >= 1
    assert "real street photographs" in (tmp_path / "one" / "README.md").read_text("utf-8")
