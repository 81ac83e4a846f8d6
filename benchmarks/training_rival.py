"""timm's training as its train.py does it: its dataset, loader, transforms, optimiser and step, on the same files.

What differs from train.py's defaults is what ours has too: bfloat16 autocast, AdamW, clipping at norm 1, one output.
The image size is fixed, which spares timm building its RoPE table on the processor in each step. Blocks are compiled
one by one, as ours are: train.py compiles the model as a whole, which takes minutes and computes the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from training_timed import WARM, Timed, Utilisation, wait
from training_windows import peak_gib

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Step = Callable[[torch.Tensor, torch.Tensor], None]


def rival_model(size: str, method: str, device: torch.device, *, compiled: bool) -> nn.Module:
    """timm's DINOv3 with one output, of which all, LoRA's layers or the head learn."""
    import timm

    kwargs: dict[str, Any] = {"embed_dim": 64, "num_heads": 1, "depth": 2} if size == "tiny" else {}
    kwargs |= {"img_size": side_of(size), "dynamic_img_size": False}
    name = f"vit_{'small' if size == 'tiny' else size}_patch16_dinov3"
    torch.manual_seed(0)
    with device:
        model: Any = timm.create_model(name, pretrained=False, num_classes=1, **kwargs)
    model.requires_grad_(method == "full")
    if method == "lora":
        _put_lora_in(model)
    model.head.requires_grad_(True)
    for block in model.blocks if compiled else ():
        block.compile(dynamic=False)
    trained: nn.Module = model.to(device).train()
    return trained


def side_of(size: str) -> int:
    """Of the input in pixels."""
    return 64 if size == "tiny" else 224


def _put_lora_in(model: Any) -> None:  # noqa: ANN401  # timm's
    """peft as its documentation has it, at the layers where ours has it."""
    from peft import LoraConfig, inject_adapter_in_model

    from streetvision.training.tuning import LORA_TARGETS

    for module in model.modules():
        if hasattr(module, "qkv_bias_separate"):
            module.qkv_bias_separate = True
    inject_adapter_in_model(LoraConfig(r=16, lora_alpha=32, target_modules=LORA_TARGETS), model)


def rival_loader(folder: Path, repeats: int, size: str, batch: int, workers: int, device: torch.device) -> Any:  # noqa: ANN401
    """timm's own with its default transforms for training; each picture comes `repeats` times in an epoch."""
    from timm.data import create_dataset, create_loader  # type: ignore[attr-defined]  # timm says no exports

    side, dataset = side_of(size), create_dataset("", root=str(folder), is_training=True)
    dataset.reader.samples *= repeats
    return create_loader(
        dataset,
        input_size=(3, side, side),
        batch_size=batch,
        is_training=True,
        use_prefetcher=device.type == "cuda",
        color_jitter=0.4,
        interpolation="random",
        mean=MEAN,
        std=STD,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        device=device,
    )


def _endless(loader: Any) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:  # noqa: ANN401
    while True:
        yield from loader


def _step_of(model: nn.Module, device: torch.device) -> Step:
    """What train.py does with a batch."""
    from timm.models import model_parameters
    from timm.optim import create_optimizer_v2  # type: ignore[attr-defined]  # timm says no exports
    from timm.utils import dispatch_clip_grad  # type: ignore[attr-defined]  # timm says no exports

    optimizer = create_optimizer_v2(model, opt="adamw", lr=1e-4, weight_decay=0.05)
    loss_of = nn.BCEWithLogitsLoss()

    def step(pictures: torch.Tensor, targets: torch.Tensor) -> None:
        with torch.autocast(device.type, torch.bfloat16):
            loss = loss_of(model(pictures).squeeze(-1), targets)
        loss.backward()
        dispatch_clip_grad(model_parameters(model), value=1.0, mode="norm")
        optimizer.step()
        optimizer.zero_grad()

    return step


class Rival:
    """A training of timm's that goes on for a while whenever it is asked to."""

    def __init__(self, model: nn.Module, loader: Any, batch: int, device: torch.device) -> None:  # noqa: ANN401
        """Trains until it is compiled and its workers have begun."""
        self._step, self._batches = _step_of(model, device), _endless(loader)
        self._batch, self._device = batch, device
        for _ in range(WARM):
            self.step()

    def step(self) -> None:
        """Train on the loader's next batch."""
        pictures, labels = next(self._batches)
        self._step(pictures.to(self._device), labels.to(self._device).float())

    def window(self, seconds: float, settle: float = 0.0) -> Timed:
        """Train for that long, of which `settle` come before the clock starts."""
        begun = time.monotonic()
        while time.monotonic() - begun < settle:
            self.step()
        wait(self._device)
        utilisation = Utilisation(self._device)
        utilisation.start()
        begun, count = time.monotonic(), 0
        while time.monotonic() - begun < seconds:
            self.step()
            count += 1
        launched = time.monotonic() - begun
        wait(self._device)
        passed, busy = time.monotonic() - begun, utilisation.stop()
        return Timed(count * self._batch / passed, busy, peak_gib(self._device), host=launched / passed)


def ready_batches(size: str, batch: int, device: torch.device) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """One batch that is on the device already: the rival without its input pipeline."""
    side = side_of(size)
    return [(torch.randn(batch, 3, side, side, device=device), torch.ones(batch, device=device))]
