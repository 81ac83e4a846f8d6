from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from streetvision.models.network import build
from streetvision.training.batch import Batch
from streetvision.training.bundle import bundled_config
from streetvision.training.bundled_settings import TrainSettings
from streetvision.training.distillation import Distillation, halved
from streetvision.training.learner import TrainingNet, make_optimizer
from streetvision.training.teacher import (
    ImageNetFeatures,
    Teacher,
    keep,
    load_imagenet,
    load_teacher,
    load_tuned,
    standardised,
)
from streetvision.training.teaching import tune

SETTINGS = TrainSettings(teacher_s=30.0, max_steps=3)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random ones under the names of a teacher's."""
    torch.manual_seed(0)
    state = ImageNetFeatures().backbone.state_dict()
    file = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    save_file({name: value.contiguous() for name, value in state.items()}, file)
    return file


def ticking(seconds: float) -> Callable[[], float]:
    """A clock that goes on by so much whenever somebody looks."""
    looks = itertools.count()
    return lambda: seconds * next(looks)


def student() -> TrainingNet:
    torch.manual_seed(1)
    return TrainingNet(build(replace(bundled_config(depth=1), input_size=96)))


def unlabelled(count: int = 4) -> Batch:
    pixels = torch.rand(count, 3, 96, 96, generator=torch.Generator().manual_seed(2)) * 255
    return Batch(pixels, torch.zeros(count), torch.zeros(count), torch.zeros(count, 36))


def test_a_teacher_without_its_weights_is_refused(tmp_path: Path) -> None:
    save_file({"conv_stem.weight": torch.zeros(32, 3, 3, 3)}, tmp_path / "part.safetensors")
    for load in (load_teacher, load_tuned, load_imagenet):
        with pytest.raises(ValueError, match="does not hold the weights of tf_efficientnet_lite0"):
            load(tmp_path / "part.safetensors")


def test_a_teacher_sees_as_finely_as_the_patches_and_keeps_its_statistics(weights: Path) -> None:
    teacher = load_teacher(weights).train()
    before = teacher.backbone.bn1.running_mean.clone()
    logits, scores, features = teacher(unlabelled(2).pixels)
    assert logits.shape == (2,)
    assert scores.shape == (2, 36)
    assert features.shape == (2, 36, teacher.width)
    assert torch.equal(teacher.backbone.bn1.running_mean, before)
    flat = standardised(features.detach()).flatten(0, 1)
    assert flat.mean(dim=0).abs().max() < 0.5
    assert flat.abs().max() <= 5.0


def test_a_tuned_teacher_is_what_was_kept(tmp_path: Path) -> None:
    torch.manual_seed(3)
    kept = Teacher().eval()
    save_file({name: value.half().contiguous() for name, value in kept.state_dict().items()}, tmp_path / "tuned")
    again, pixels = load_tuned(tmp_path / "tuned"), unlabelled(2).pixels
    torch.testing.assert_close(again(pixels)[0], kept(pixels)[0], atol=1e-2, rtol=1e-2)
    assert not any(value.requires_grad for value in again.parameters())


def test_imagenet_features_stay_as_they_are(weights: Path) -> None:
    whole = load_imagenet(weights)
    assert whole(unlabelled(2).pixels).shape == (2, 9, whole.width)
    assert not any(value.requires_grad for value in whole.parameters())


def test_four_neighbouring_patches_become_one() -> None:
    grid = torch.arange(16.0).view(1, 16, 1)
    assert halved(grid).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]


def test_pictures_without_a_label_teach_features_and_answers(weights: Path) -> None:
    learner, batch = student(), unlabelled()
    distillation = Distillation([load_teacher(weights)], load_imagenet(weights), 256, TrainSettings())
    torch.autograd.backward(distillation(batch.pixels, learner(batch.pixels)))
    block = learner.net.backbone.blocks[0].mlp.fc1.weight
    assert block.grad is not None
    assert block.grad.abs().sum() > 0


def test_every_picture_teaches_answers_and_the_first_teach_features(weights: Path) -> None:
    learner, batch = student(), unlabelled()
    settings = TrainSettings(taught=0.5, shown_imagenet=0.25)
    distillation = Distillation([load_teacher(weights)], load_imagenet(weights), 256, settings)
    said = learner(batch.pixels)
    for one in said:
        one.retain_grad()
    torch.autograd.backward(distillation(batch.pixels, said))
    tokens = said.tokens.grad
    assert tokens is not None
    assert tokens[:2].abs().sum() > 0
    assert not tokens[2:].any()
    for one in (said.logits, said.patches):
        assert one.grad is not None
        assert one.grad.view(len(batch.pixels), -1).abs().sum(dim=1).all()


def test_answers_weigh_as_the_settings_say(weights: Path) -> None:
    learner, batch = student(), unlabelled()
    teachers = [load_teacher(weights).eval()], load_imagenet(weights)
    with torch.no_grad():
        said = learner(batch.pixels)
        losses = []
        for weight in (0.0, 1.0, 3.0):
            settings = TrainSettings(feature_loss=0.0, answer_loss=weight)
            losses.append(float(Distillation(*teachers, 256, settings)(batch.pixels, said)))
    assert losses[0] == 0.0
    assert losses[2] == pytest.approx(3 * losses[1], rel=1e-5)


def test_several_teachers_take_turns(weights: Path) -> None:
    learner, batch = student(), unlabelled()
    torch.manual_seed(4)
    teachers = [load_teacher(weights).eval(), Teacher("tf_efficientnet_lite2").eval()]
    distillation = Distillation(teachers, load_imagenet(weights), 256, TrainSettings(feature_loss=0.0))
    with torch.no_grad():
        said = learner(batch.pixels)
        turns = [float(distillation(batch.pixels, said)) for _ in range(4)]
        alone = [
            float(Distillation([one], load_imagenet(weights), 256, distillation.settings)(batch.pixels, said))
            for one in teachers
        ]
    assert turns == [*alone, *alone]
    assert alone[0] != alone[1]


def test_a_kept_teacher_says_which_network_it_is(tmp_path: Path) -> None:
    keep(Teacher("tf_efficientnet_lite1"), tmp_path / "kept")
    assert load_tuned(tmp_path / "kept").name == "tf_efficientnet_lite1"
    save_file({"a": torch.zeros(1)}, tmp_path / "other", metadata={"architecture": "resnet18"})
    with pytest.raises(ValueError, match="is for resnet18; a teacher is one of tf_efficientnet_lite0"):
        load_teacher(tmp_path / "other")


def test_only_the_maps_learn_beside_the_network(weights: Path) -> None:
    learner = student()
    teacher = load_teacher(weights).requires_grad_(False)
    distillation = Distillation([teacher], load_imagenet(weights), 256, TrainSettings())
    optimizer = make_optimizer(learner, TrainSettings(muon=False), distillation)
    held = {id(value) for group in optimizer.param_groups for value in group["params"]}
    maps = [*distillation.to_tuned.parameters(), *distillation.to_imagenet.parameters()]
    assert held == {id(value) for value in [*learner.parameters(), *maps]}


def test_the_head_learns_first_and_the_average_is_frozen(weights: Path) -> None:
    labelled = replace(unlabelled(), targets=torch.tensor([0.0, 1.0, 0.0, 1.0]), weights=torch.ones(4))
    teacher = load_teacher(weights)
    stem, head = teacher.backbone.conv_stem.weight.clone(), teacher.head.fc.weight.clone()
    tuned = tune(teacher, lambda: labelled, SETTINGS, print, clock=ticking(0.5))
    assert torch.equal(tuned.backbone.conv_stem.weight, stem)
    assert not torch.equal(tuned.head.fc.weight, head)
    assert not tuned.training
    assert not any(value.requires_grad for value in tuned.parameters())


def test_the_whole_teacher_learns_afterwards(weights: Path) -> None:
    labelled = replace(unlabelled(), targets=torch.tensor([0.0, 1.0, 0.0, 1.0]), weights=torch.ones(4))
    teacher = load_teacher(weights)
    stem = teacher.backbone.conv_stem.weight.clone()
    tuned = tune(teacher, lambda: labelled, SETTINGS, print, clock=ticking(7.0))
    assert not torch.equal(tuned.backbone.conv_stem.weight, stem)
