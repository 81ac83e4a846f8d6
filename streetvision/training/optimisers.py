"""The optimiser, its schedule, and how a moving average follows the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Muon, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from streetvision.training.recipe import OptimiserRecipe
from streetvision.training.tuning import Group

LOWEST = 0.01
"""Share of the peak that a learning rate starts from and ends at."""
BETAS = (0.9, 0.98)


class Together(Optimizer):
    """Several optimisers that step as one: Lightning's automatic optimisation knows one alone."""

    def __init__(self, parts: list[Optimizer]) -> None:
        self.parts = parts
        groups = [group for part in parts for group in part.param_groups]
        super().__init__([{"params": group["params"]} for group in groups], {})
        self.param_groups = groups

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # noqa: ANN401  # whatever the closure gives
        """One step of each; the closure is called once."""
        loss = None if closure is None else closure()
        for part in self.parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Of each, in order."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What `state_dict` gave."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]


def make_optimiser(groups: list[Group], names: dict[int, str], recipe: OptimiserRecipe) -> Optimizer:
    """AdamW over the groups; with Muon the blocks' matrices go to it. `names` are the parameters', by id."""
    first = next(value for group in groups for value in group["params"])
    if recipe.kind == "adamw":
        return AdamW(groups, betas=BETAS, fused=first.is_cuda)
    matrices = _split(groups, lambda value: _is_block_matrix(value, names))
    others = _split(groups, lambda value: not _is_block_matrix(value, names))
    parts: list[Optimizer] = [AdamW(others, betas=BETAS, fused=first.is_cuda)] if others else []
    if matrices:
        parts.append(Muon(matrices, adjust_lr_fn="match_rms_adamw"))
    return Together(parts)


def _split(groups: Iterable[Group], wanted: Callable[[nn.Parameter], bool]) -> list[Group]:
    chosen = ({**group, "params": [value for value in group["params"] if wanted(value)]} for group in groups)
    return [group for group in chosen if group["params"]]


def _is_block_matrix(value: nn.Parameter, names: dict[int, str]) -> bool:
    return value.ndim == 2 and ".blocks." in names[id(value)]


def make_schedule(optimiser: Optimizer, recipe: OptimiserRecipe, total_steps: int) -> LambdaLR:
    """The schedule of every group, a factor of its own learning rate."""
    return LambdaLR(optimiser, lambda step: rate_factor(recipe, step / max(total_steps, 1)))


def rate_factor(recipe: OptimiserRecipe, progress: float) -> float:
    """Share of the peak learning rate when `progress` of all steps, 0 to 1, is done."""
    if progress < recipe.warmup:
        return max(progress / recipe.warmup, LOWEST)
    turn = min(1.0, (progress - recipe.warmup) / (1.0 - recipe.warmup))
    falling = {"cosine": 0.5 * (1.0 + math.cos(math.pi * turn)), "linear": 1.0 - turn, "constant": 1.0}
    return LOWEST + (1.0 - LOWEST) * falling[recipe.schedule]


def follow(average: list[torch.Tensor], weights: list[torch.Tensor], decay: float, steps: int) -> None:
    """Move an average of the weights towards them after `steps` steps, in place.

    Early on the decay is smaller, so that the random start is soon forgotten.
    """
    keep = min(decay, (1 + steps) / (10 + steps))
    with torch.no_grad():
        torch._foreach_lerp_(average, weights, 1.0 - keep)


def names_of(module: nn.Module) -> dict[int, str]:
    """Names of a module's parameters, by id."""
    return {id(value): name for name, value in module.named_parameters()}
