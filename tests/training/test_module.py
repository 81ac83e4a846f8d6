"""One training step: which weights learn and how fast, the loss, and LoRA merged into a plain network."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from streetvision.training.module import TokenBatch, TrainingModule
from streetvision.training.objective import picture_loss
from streetvision.training.optimisers import rate_factor
from streetvision.training.recipe import LossRecipe, OptimiserRecipe, Recipe
from streetvision.training.tuning import learning, merge_lora

from .nets import batch, recipe, small_net


def module_of(chosen: Recipe, **kwargs: object) -> TrainingModule:
    return TrainingModule(small_net(**kwargs), chosen, total_steps=20)


def trained(module: TrainingModule, steps: int = 20, *, patches: bool = False) -> list[float]:
    """Losses of some steps by hand, without Lightning."""
    made: Any = module.configure_optimizers()
    optimiser, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    losses = []
    for step in range(steps):
        given = module.on_after_batch_transfer(batch(8, seed=step % 2, patches=patches), 0)
        loss = module._loss(given)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("method", ["head", "last", "lora", "full"])
@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_every_method_learns_and_touches_only_what_it_may(method: str, kind: str) -> None:
    chosen = recipe(tune={"method": method, "blocks": 1}, optimiser={"lr": 3e-3, "kind": kind})
    module = module_of(chosen)
    losses = trained(module)
    assert losses[-1] < losses[0]
    merge_lora(module.net)
    after = module.net.state_dict()
    before = small_net().state_dict()
    assert after.keys() == before.keys()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    allowed = {
        "head": ("head.",),
        "last": ("head.", "backbone.blocks.1.", "backbone.norm."),
        "lora": ("head.", "backbone.blocks."),
        "full": ("head.", "backbone."),
    }[method]
    expected = {"last": "backbone.blocks.1.mlp.fc1.weight", "head": "head.fc.weight"}
    assert {"head.fc.weight", expected.get(method, "backbone.blocks.0.attn.qkv.weight")} <= changed
    assert all(name.startswith(allowed) for name in changed)


@pytest.mark.parametrize("name", ["vit_small_patch16_dinov3", "vit_small_patch16_dinov3_qkvb"])
def test_merged_lora_answers_as_it_did_beside_the_weights(name: str) -> None:
    module = module_of(recipe(tune={"method": "lora", "rank": 4}, optimiser={"lr": 3e-3}), name=name)
    trained(module, 5)
    lora = [value for key, value in learning(module).items() if "lora_B" in key]
    assert lora
    assert all(float(value.detach().abs().max()) > 0 for value in lora)
    with torch.no_grad():
        beside = module(batch())
        merge_lora(module.net)
        torch.testing.assert_close(module(batch()), beside, atol=1e-4, rtol=1e-4)
    plain = small_net(name=name)
    plain.load_state_dict(module.net.state_dict())


def test_lower_blocks_learn_more_slowly_and_vectors_do_not_decay() -> None:
    module = module_of(recipe(tune={"method": "full", "layer_decay": 0.5}, optimiser={"lr": 1.0}))
    made: Any = module.configure_optimizers()
    optimiser = made["optimizer"]
    rates = {id(value): group for group in optimiser.param_groups for value in group["params"]}
    found = {name: rates[id(value)] for name, value in module.net.named_parameters()}
    assert found["head.fc.weight"]["initial_lr"] == 1.0
    assert found["backbone.norm.weight"]["initial_lr"] == 1.0
    assert found["backbone.blocks.1.attn.proj.weight"]["initial_lr"] == 0.5
    assert found["backbone.blocks.0.attn.proj.weight"]["initial_lr"] == 0.25
    assert found["backbone.patch_embed.proj.weight"]["initial_lr"] == 0.125
    assert found["backbone.blocks.0.attn.proj.bias"]["weight_decay"] == 0.0
    assert found["backbone.blocks.0.attn.proj.weight"]["weight_decay"] > 0.0


def test_a_probe_learns_from_patches_where_the_head_has_no_scores() -> None:
    module = module_of(recipe(tune={"method": "full"}, loss={"patches": 1.0}, optimiser={"lr": 3e-3}))
    losses = trained(module, patches=True)
    assert losses[-1] < losses[0]
    assert not [name for name in module.net.state_dict() if "probe" in name]


def test_a_teacher_adds_its_loss() -> None:
    class Teacher(nn.Module):
        def forward(self, pixels: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
            assert pixels.shape[0] == tokens.shape[0]
            return tokens.sum() * 0.0 + 5.0

    chosen = recipe(tune={"method": "full"})
    alone = TrainingModule(small_net(), chosen, total_steps=1)
    taught = TrainingModule(small_net(), chosen, total_steps=1, distillation=Teacher())
    assert taught._loss(batch()).item() == pytest.approx(alone._loss(batch()).item() + 5.0, abs=1e-4)


def test_the_head_learns_the_same_from_tokens_as_from_pictures() -> None:
    module = module_of(recipe(tune={"method": "head"}))
    pictures = batch()
    with torch.no_grad():
        tokens = module.tokens(pictures.pixels)
    said = TokenBatch(tokens, pictures.targets, pictures.weights, torch.arange(4))
    torch.testing.assert_close(module._loss(said), module._loss(pictures))


def test_a_checkpointed_step_is_the_same_step() -> None:
    losses = [
        trained(module_of(recipe(tune={"method": method}, run={"checkpointing": on})), 3)
        for method in ("full", "lora")
        for on in (False, True)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[2] == pytest.approx(losses[3], rel=1e-5)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mixed_pictures_are_drawn_from_the_place_in_the_run(kind: str) -> None:
    chosen = recipe(tune={"method": "full"}, loss={kind: 1.0})
    first, again = module_of(chosen), module_of(chosen)
    assert trained(first, 4, patches=True) == trained(again, 4, patches=True)
    plain = trained(module_of(recipe(tune={"method": "full"})), 4, patches=True)
    assert trained(module_of(chosen), 4, patches=True) != plain


def test_focal_loss_looks_away_from_right_answers() -> None:
    logits, targets, weights = torch.tensor([4.0, -1.0]), torch.tensor([1.0, 1.0]), torch.ones(2)
    bce = LossRecipe()
    focal = replace(bce, kind="focal", gamma=2.0)
    right, wrong = slice(0, 1), slice(1, 2)
    parts = {
        (one.kind, where.start): float(picture_loss(logits[where], targets[where], weights[where], one))
        for one in (bce, focal)
        for where in (right, wrong)
    }
    assert parts["focal", 0] / parts["bce", 0] < 0.001
    assert parts["focal", 1] / parts["bce", 1] == pytest.approx(float(torch.sigmoid(torch.tensor(1.0))) ** 2, rel=1e-4)


def test_weights_of_pictures_and_of_roadwork_count() -> None:
    logits, targets = torch.tensor([1.0, 1.0]), torch.tensor([1.0, 0.0])
    even = picture_loss(logits, targets, torch.ones(2), LossRecipe())
    heavier = picture_loss(logits, targets, torch.ones(2), LossRecipe(positive_weight=3.0))
    assert float(heavier) < float(even)
    only_first = picture_loss(logits, targets, torch.tensor([1.0, 0.0]), LossRecipe())
    torch.testing.assert_close(only_first, picture_loss(logits[:1], targets[:1], torch.ones(1), LossRecipe()))


def test_the_rate_rises_and_falls() -> None:
    chosen = OptimiserRecipe(warmup=0.1)
    factors = [rate_factor(chosen, step / 100) for step in range(101)]
    assert factors[10] == pytest.approx(1.0)
    assert all(later >= earlier for earlier, later in pairwise(factors[:11]))
    assert all(later <= earlier for earlier, later in pairwise(factors[10:]))
    assert factors[100] == pytest.approx(0.01)
