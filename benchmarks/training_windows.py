"""A training of ours timed in short windows, each followed by one of a rival's: what else the machine does meets both.

The first epoch decodes pictures, later ones find them decoded: windows of the two are told apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import lightning as L
import torch
from harness import Row
from training_host import HostSampler
from training_timed import WARM, Timed, Utilisation, wait

FIRST, LATER = "first", "later"


@dataclass(frozen=True)
class Plan:
    """How many windows in which epochs, how long, and how long before each the clock stands still: queues level out."""

    first: int
    later: int
    seconds: float
    settle: float
    places: bool = False
    """Whether to look where the host is, many times a second."""


@dataclass(frozen=True)
class Window:
    """One of ours and, where there is a rival, the one of its that followed."""

    epoch: str
    ours: Timed
    rival: Timed | None = None


@dataclass
class _Open:
    epoch: str
    step: int
    utilisation: Utilisation
    host: HostSampler
    begun: float = field(default_factory=time.monotonic)


class Windows(L.Callback):
    """Opens and closes windows as the training goes on, and ends it after the last one."""

    def __init__(
        self,
        plan: Plan,
        pictures_a_step: int,
        device: torch.device,
        *,
        rival: Callable[[], Timed] | None = None,
        last: Callable[[L.Trainer], bool] = lambda _: True,
        later_seconds: float | None = None,
    ) -> None:
        """`later_seconds` are those of windows of later epochs.

        `last` is called after each step when the windows are over, until it says that the training may end.
        """
        self.found: list[Window] = []
        self._plan, self._pictures, self._device = plan, pictures_a_step, device
        self._rival, self._last = rival, last
        self._seconds = {FIRST: plan.seconds, LATER: later_seconds or plan.seconds}
        self._left = {FIRST: plan.first, LATER: plan.later}
        self._open: _Open | None = None
        self._since = float("inf")

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *_: object) -> None:  # noqa: ANN401
        """Look at the clock."""
        now, epoch = time.monotonic(), LATER if trainer.current_epoch else FIRST
        if trainer.global_step == WARM:
            wait(self._device)
            self._since = time.monotonic()
        elif self._open is not None and now - self._open.begun >= self._seconds[self._open.epoch]:
            self._close(self._open, trainer.global_step, epoch)
        elif self._open is None and not self._left[LATER]:
            trainer.should_stop = self._last(trainer)
        elif self._open is None and self._left[epoch] and now - self._since >= self._plan.settle:
            self._begin(trainer.global_step, epoch)

    def _begin(self, step: int, epoch: str) -> None:
        wait(self._device)
        self._open = _Open(epoch, step, Utilisation(self._device), HostSampler())
        self._open.utilisation.start()
        if self._plan.places:
            self._open.host.start()

    def _close(self, window: _Open, step: int, epoch: str) -> None:
        wait(self._device)
        seconds, steps = time.monotonic() - window.begun, step - window.step
        busy, places = window.utilisation.stop(), window.host.stop(seconds / steps) if self._plan.places else []
        self._open = None
        if window.epoch == epoch:  # else it was of both
            ours = Timed(steps * self._pictures / seconds, busy, peak_gib(self._device), places=places)
            self.found.append(Window(epoch, ours, self._rival() if self._rival else None))
            self._left[epoch] -= 1
        self._since = time.monotonic()


def peak_gib(device: torch.device) -> float:
    """Most GPU memory that was in use."""
    return torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else 0.0


def compared(training: str, windows: list[Window]) -> list[Row]:
    """A row for the first epoch and one for later ones: medians, and how far apart the pairs are."""
    return [_row(training, epoch, of) for epoch in (FIRST, LATER) if (of := [w for w in windows if w.epoch == epoch])]


def _row(training: str, epoch: str, windows: list[Window]) -> Row:
    pairs = [(one.ours, one.rival) for one in windows if one.rival is not None]
    ratios = [ours.images_per_s / rival.images_per_s for ours, rival in pairs]
    return {
        "training": training,
        "epoch": epoch,
        "pairs": len(pairs),
        "images/s": median(ours.images_per_s for ours, _ in pairs),
        "timm's images/s": median(rival.images_per_s for _, rival in pairs),
        "times timm's": median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        "GPU busy": median(ours.busy for ours, _ in pairs),
        "timm's GPU busy": median(rival.busy for _, rival in pairs),
    }
