"""The bundled network as it learns: its coarse twin, the average of its weights, its optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import nn
from torch.optim import Optimizer

from streetvision.models.config import ModelConfig
from streetvision.models.network import StreetVisionNet, build
from streetvision.training.bundled_settings import TrainSettings
from streetvision.training.optimisers import make_optimiser
from streetvision.training.recipe import TuneRecipe
from streetvision.training.tuning import parameter_groups


class Answers(NamedTuple):
    """What the network says of N pictures of P patches."""

    logits: torch.Tensor
    """Raw, [N]."""
    patches: torch.Tensor
    """Raw, whether a patch shows works [N, P]."""
    tokens: torch.Tensor
    """The patches' features [N, P, C]."""


class TrainingNet(nn.Module):
    """The network and its coarse twin."""

    def __init__(self, net: StreetVisionNet, coarse: StreetVisionNet | None = None) -> None:
        super().__init__()
        self.net = net
        self.coarse = coarse

    def forward(self, pixels: torch.Tensor) -> Answers:
        """Of pixels float [N, 3, S, S] in [0, 255]."""
        net = self.net if self.coarse is None or pixels.shape[-1] == self.net.input_size else self.coarse
        mean, std = (value.view(1, 3, 1, 1) for value in (net.mean, net.std))
        tokens = net.tokens((pixels - mean) / std)
        logits, _ = net.head(tokens)
        return Answers(logits, net.head.scores(tokens), tokens[:, net.head.prefix :])


def tied(net: StreetVisionNet, config: ModelConfig, size: int) -> StreetVisionNet:
    """The very same parameters behind another input size: only the patch grid and its RoPE table differ."""
    other = build(replace(config, input_size=size))
    mine = dict(net.named_modules())
    for name, module in other.named_modules():
        for parameter in list(module._parameters):
            module._parameters[parameter] = mine[name]._parameters[parameter]
    return other.to(next(net.parameters()).device)


def make_learner(
    config: ModelConfig,
    settings: TrainSettings,
    device: torch.device,
    start: Mapping[str, torch.Tensor] | None = None,
) -> TrainingNet:
    """A network on the device with its coarse twin, blocks compiled where wanted; fresh unless it has a start."""
    net = build(config)
    if start is not None:
        net.load_state_dict({name: value.float() for name, value in start.items()})
    net = net.to(device)
    coarse = None if settings.coarse_size is None else tied(net, config, settings.coarse_size)
    if settings.compile:
        for each in (net, coarse):
            for block in each.backbone.blocks if each is not None else ():
                block.compile(dynamic=False)
    return TrainingNet(net, coarse).to(device)


def fresh_copy(net: StreetVisionNet, config: ModelConfig) -> StreetVisionNet:
    """An uncompiled network with the same weights, for their moving average."""
    copy = build(config)
    copy.load_state_dict(net.state_dict())
    return copy.to(next(net.parameters()).device).requires_grad_(False).eval()


def make_optimizer(learner: TrainingNet, settings: TrainSettings, beside: nn.Module | None = None) -> Optimizer:
    """Of all weights and of those that learn `beside` the network, each as fast as any other."""
    recipe, depth = settings.optimiser, len(learner.net.backbone.blocks)
    named = [*learner.named_parameters(), *(beside.named_parameters() if beside is not None else ())]
    groups = parameter_groups(named, depth, TuneRecipe("full", layer_decay=1.0), recipe)
    return make_optimiser(groups, {id(value): name for name, value in named}, recipe)
