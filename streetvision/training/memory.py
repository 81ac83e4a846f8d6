"""How many pictures fit into a GPU, measured after too many did not."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import torch

from streetvision.errors import OperatorError
from streetvision.training.augmenting import GpuAugment
from streetvision.training.batch import RawBatch
from streetvision.training.carrying import AHEAD
from streetvision.training.loading import CANVAS_SCALE
from streetvision.training.module import TrainingModule

KEPT_FREE = 0.15
"""Share of what pictures may take that is left alone: memory is fragmented."""


def fitting_batch(peak_of: Callable[[int], int | None], free: int, wanted: int) -> int:
    """The largest batch below `wanted` that `free` bytes take; 0: none.

    `peak_of` tells the bytes that a step on so many pictures takes at its highest, None where they are not to be had.
    Batches double until one is too large: a few pictures say nothing of many, whose highest point is another.
    """
    peaks: dict[int, int] = {}
    count, most = 1, free
    while count < wanted and (peak := peak_of(count)) is not None and peak <= most:
        peaks[count] = peak
        most = free - round(KEPT_FREE * max(0, free - peaks[1]))
        count *= 2
    if len(peaks) < 2:
        return len(peaks)
    (few, small), (more, large) = list(peaks.items())[-2:]
    each = max(1.0, (large - small) / (more - few))
    return min(wanted, count, more + int(max(0, most - large) / each) + 1) - 1


def kept_beside(module: TrainingModule) -> int:
    """Bytes that a training keeps for each weight that learns, beside it and its gradient: Adam's two, the average."""
    learns = sum(one.numel() * one.element_size() for one in module.parameters() if one.requires_grad)
    return learns * (3 if module.recipe.optimiser.ema else 2)


def out_of_memory(
    error: BaseException, module: TrainingModule, augment: GpuAugment, device: torch.device
) -> OperatorError:
    """What to raise after `error`, with the batch that would fit on `device`."""
    traceback.clear_frames(error.__traceback__)  # they hold the failed step's activations
    module.stop_replaying()
    module.zero_grad(set_to_none=True)
    module.to(device)  # Lightning takes it off the GPU when a training ends, however it ends
    torch.cuda.empty_cache()
    return OperatorError(_advice(module, augment, module.recipe.run.batch, device))


def _advice(module: TrainingModule, augment: GpuAugment, wanted: int, device: torch.device) -> str:
    free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_allocated(device) - kept_beside(module)
    fits = fitting_batch(lambda count: _peak(module, augment, count, device), free, wanted)
    said = f"the GPU has no memory for {wanted} pictures at a time: "
    if not fits:
        return said + "not even one fits, so set run.checkpointing = true, a smaller model.input_size or backbone"
    factor = -(-wanted // fits)
    return said + (
        f"{fits} would fit, so train anew with --set run.batch={fits} --set run.accumulate={factor}, or with "
        "--set run.checkpointing=true"
    )


def _peak(module: TrainingModule, augment: GpuAugment, count: int, device: torch.device) -> int | None:
    """Bytes that one step on so many pictures takes at its highest; None where the GPU does not have them."""
    torch.cuda.empty_cache()
    try:
        return _tried(module, augment, count, device)
    except torch.cuda.OutOfMemoryError:
        return None
    finally:
        module.zero_grad(set_to_none=True)


def _tried(module: TrainingModule, augment: GpuAugment, count: int, device: torch.device) -> int:
    side = CANVAS_SCALE * module.net.input_size
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    # Those of other batches lie there meanwhile: the ones ahead, the one on its way, and the last one until all let go.
    pictures = torch.zeros((3 + AHEAD) * count, side, side, 3, dtype=torch.uint8, device=device)
    raw = RawBatch(
        pictures[:count],
        torch.full((count, 2), side, dtype=torch.int32, device=device),
        torch.zeros(count, device=device),
        torch.ones(count, device=device),
        torch.zeros(count, dtype=torch.int64, device=device),
    )
    with torch.autocast(device.type, torch.bfloat16, enabled=torch.cuda.is_bf16_supported()):
        batch = augment(raw, torch.Generator(device).manual_seed(0))
        augmenting = torch.cuda.max_memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        torch.autograd.backward(module.loss_of(batch))
    stepping = torch.cuda.max_memory_allocated(device)
    if module.recipe.run.graphs:  # a graph keeps its memory to itself
        return stepping + augmenting - before
    return max(stepping, augmenting)
