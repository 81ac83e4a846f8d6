"""Processes that train one network together: each on pictures of its own, all with the mean of their gradients."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is; one alone asks nobody."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that speaks and writes for all."""
        return self.rank == 0

    def first_says(self, *numbers: float) -> list[float]:
        """The first one's numbers, in every process: clocks differ. It passes over the host, so no device waits."""
        if self.count == 1:
            return list(numbers)
        said = torch.tensor(numbers, dtype=torch.float64)
        dist.broadcast(said, src=0)
        return said.tolist()

    def share_weights(self, module: nn.Module) -> None:
        """Give every process the first one's weights."""
        if self.count > 1:
            for value in module.state_dict().values():
                dist.broadcast(value, src=0)

    def mean_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace gradients by their mean over all processes; where one has none, it counts as 0."""
        if self.count == 1:
            return
        learning = [value for value in parameters if value.requires_grad]
        flat = torch.cat([_gradient(value).flatten() for value in learning])
        dist.all_reduce(flat)
        pieces = torch.split(flat.div_(self.count), [value.numel() for value in learning])
        for value, piece in zip(learning, pieces, strict=True):
            value.grad = piece.view_as(value)


ALONE = Ranks()


def _gradient(value: nn.Parameter) -> torch.Tensor:
    return torch.zeros_like(value) if value.grad is None else value.grad


@contextmanager
def joined(accelerator: str) -> Iterator[Ranks]:
    """The processes that torch's launcher started (`python -m torch.distributed.run`), or this one alone."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Ranks()
        return
    on_gpu = accelerator == "cuda"
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
    try:
        yield Ranks(dist.get_rank(), count)
    finally:
        dist.destroy_process_group()
