"""A SigLIP tower in training: where it begins, what learns by each method, and what a frozen one keeps of a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from streetvision.errors import OperatorError
from streetvision.training.module import TrainingModule
from streetvision.training.recipe import ModelRecipe
from streetvision.training.starting import Origins, load_start, prepare_start
from streetvision.training.tuning import layer_of, learning, merge_lora

from .nets import batch, never, recipe, small_net

NAME = "vit_base_patch16_siglip_224"


def unknown(name: str) -> Any:
    raise OperatorError(f"There is no model version {name!r}")


def test_pretrained_positions_are_resampled_to_the_size_that_is_trained(tmp_path: Path) -> None:
    torch.manual_seed(1)
    theirs: Any = timm.create_model(NAME, pretrained=False, num_classes=0)
    rising = torch.linspace(-1, 1, 14)[:, None].expand(14, 14).reshape(1, 196, 1)
    theirs.pos_embed.data.copy_(rising.expand(1, 196, 768))
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    file = str(tmp_path / "model.safetensors")
    wanted = ModelRecipe(backbone=f"{NAME}.v2_webli", weights=file, head="cls_linear", input_size=96)
    prepare_start(wanted, tmp_path / "start", Origins(never, unknown, None), seed=0)
    net, config = load_start(tmp_path / "start")
    assert (config.architecture, config.input_size, config.head.kind) == (NAME, 96, "cls_linear")
    grid = net.backbone.pos_embed.detach()[0, :, 0].view(6, 6)
    assert float(grid.std(dim=1).max()) < 1e-3 and bool((grid.diff(dim=0) > 0.1).all())
    torch.testing.assert_close(net.backbone.attn_pool.latent, theirs.attn_pool.latent)


@pytest.mark.parametrize(
    ("method", "learns"),
    [
        ("head", set()),
        ("last", {"blocks.1"}),
        ("lora", {"blocks.0", "blocks.1"}),
        ("full", {"blocks.0", "blocks.1", "attn_pool", "patch_embed", "pos_embed"}),
    ],
)
@pytest.mark.parametrize("head", ["cls_linear", "cls_mean_attention"])
def test_each_method_lets_its_weights_learn(method: str, learns: set[str], head: str) -> None:
    net = small_net(name=NAME, kind=head)
    module = TrainingModule(net, recipe(tune={"method": method, "blocks": 1, "rank": 2}), total_steps=4)
    module.loss_of(batch(patches=True)).backward()  # type: ignore[no-untyped-call]  # torch
    moved = [name for name, value in net.backbone.named_parameters() if value.grad is not None]
    assert learns <= {".".join(name.split(".")[:2]) if "blocks" in name else name.split(".")[0] for name in moved}
    assert bool(learns) == bool(moved)
    assert net.head.fc.weight.grad is not None
    depth = len(net.backbone.blocks)
    assert {layer_of(f"net.backbone.{name}", depth) for name in learning(net.backbone)} <= set(range(depth + 2))
    if method == "lora":
        merge_lora(net)
        assert set(net.state_dict()) == set(small_net(name=NAME, kind=head).state_dict())


def test_a_step_lowers_the_loss() -> None:
    net = small_net(name=NAME, kind="cls_linear")
    module = TrainingModule(net, recipe(tune={"method": "full"}), total_steps=20)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3)
    losses = []
    for _ in range(15):
        optimiser.zero_grad()
        loss = module.loss_of(batch(8))
        loss.backward()  # type: ignore[no-untyped-call]  # torch
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.85 * losses[0]
