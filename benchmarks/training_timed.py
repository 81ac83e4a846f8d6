"""What the benchmarks of training share: how fast one went, and how busy the GPU was meanwhile."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import torch
from harness import Row

WARM = 12
"""Steps before the clock starts: compiling, capturing."""
SAMPLE_S = 0.2


@dataclass(frozen=True)
class Timed:
    """How fast a training went."""

    images_per_s: float
    busy: float
    """Share of the time in which the GPU computed, by NVML's samples."""
    peak_gib: float
    losses: list[float] = field(default_factory=list)
    host: float = float("nan")
    """Share of the time that the host took to launch the steps."""
    places: list[Row] = field(default_factory=list)
    """Where the host was meanwhile; see `HostSampler`."""


class Utilisation:
    """Samples how busy a GPU is, in a thread, from `start` to `stop`."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._ended = device, threading.Event()
        self._samples: list[int] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> float:
        """Mean share of time, 0 to 1; NaN where there is no GPU."""
        self._ended.set()
        self._thread.join()
        return sum(self._samples) / (100 * len(self._samples)) if self._samples else float("nan")

    def _run(self) -> None:
        while self._device.type == "cuda" and not self._ended.wait(SAMPLE_S):
            self._samples.append(torch.cuda.utilization(self._device))


def wait(device: torch.device) -> None:
    """Until the GPU has done all that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
