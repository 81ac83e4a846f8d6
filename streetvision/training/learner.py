"""The bundled network as it learns: its coarse twin, the average of its weights, its optimiser."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn
from torch.optim import Optimizer

from streetvision.models.config import ModelConfig
from streetvision.models.dinov3 import StreetVisionNet, build
from streetvision.training.bundled_settings import TrainSettings
from streetvision.training.optimisers import make_optimiser, names_of
from streetvision.training.recipe import TuneRecipe
from streetvision.training.tuning import parameter_groups


class TrainingNet(nn.Module):
    """The network, its coarse twin, and what asks its tokens for a teacher's features; the latter is thrown away."""

    def __init__(self, net: StreetVisionNet, coarse: StreetVisionNet | None = None, features: int = 0) -> None:
        super().__init__()
        self.net = net
        self.coarse = coarse
        self.project = nn.Linear(net.backbone.num_features, features) if features else None

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Pixels float [N, 3, S, S] in [0, 255] -> raw logits [N], patch logits [N, P], features [N, P, C] if asked."""
        whole = self.coarse is None or pixels.shape[-1] == self.net.input_size
        net = self.net if whole or self.coarse is None else self.coarse
        mean, std = (value.view(1, 3, 1, 1) for value in (net.mean, net.std))
        tokens = net.tokens((pixels - mean) / std)
        logits, _ = net.head(tokens)
        features = None if self.project is None else self.project(tokens[:, net.head.prefix :])
        return logits, net.head.scores(tokens), features


def tied(net: StreetVisionNet, config: ModelConfig, size: int) -> StreetVisionNet:
    """The very same parameters behind another input size: only the patch grid and its RoPE table differ."""
    other = build(replace(config, input_size=size))
    mine = dict(net.named_modules())
    for name, module in other.named_modules():
        for parameter in list(module._parameters):
            module._parameters[parameter] = mine[name]._parameters[parameter]
    return other.to(next(net.parameters()).device)


def make_learner(config: ModelConfig, settings: TrainSettings, device: torch.device, features: int = 0) -> TrainingNet:
    """A fresh network on the device with its coarse twin, blocks compiled where wanted."""
    net = build(config).to(device)
    coarse = None if settings.coarse_size is None else tied(net, config, settings.coarse_size)
    if settings.compile:
        for each in (net, coarse):
            for block in each.backbone.blocks if each is not None else ():
                block.compile(dynamic=False)
    return TrainingNet(net, coarse, features).to(device)


def fresh_copy(net: StreetVisionNet, config: ModelConfig) -> StreetVisionNet:
    """An uncompiled network with the same weights, for their moving average."""
    copy = build(config)
    copy.load_state_dict(net.state_dict())
    return copy.to(next(net.parameters()).device).requires_grad_(False).eval()


def make_optimizer(learner: TrainingNet, settings: TrainSettings) -> Optimizer:
    """Of all weights, each as fast as any other."""
    recipe, depth = settings.optimiser, len(learner.net.backbone.blocks)
    groups = parameter_groups(learner.named_parameters(), depth, TuneRecipe("full", layer_decay=1.0), recipe)
    return make_optimiser(groups, names_of(learner), recipe)
