"""What the GPU does in a step, by kind of kernel: of ours and of a rival's, from a few profiled steps."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable

import lightning as L
import torch
from harness import Row
from torch.profiler import ProfilerActivity, profile

STEPS = 5
KINDS = {
    "attention": ("flash", "fmha", "sdpa", "attention"),
    "matrix products": ("gemm", "nvjet", "cutlass", "xmma", "cublas", "conv"),
    "the optimiser": ("adam",),
    "norms, clipping": ("multi_tensor", "norm_"),
    "compiled, element by element": ("triton",),
    "copies": ("memcpy", "memset", "copy_kernel"),
}
"""By parts of kernels' names, first come, first served."""
OTHER = "all else, augmenting too"
Milliseconds = dict[str, float]


class Profiled:
    """Profiles STEPS steps of a training, each of which ends with a call."""

    def __init__(self) -> None:
        self.found: Milliseconds = {}
        self._profile: profile | None = None
        self._step = 0

    def __call__(self, trainer: L.Trainer) -> bool:
        """True when it is over."""
        if self._profile is None:
            self._profile, self._step = _started(), trainer.global_step
            return self._profile is None
        if trainer.global_step - self._step < STEPS:
            return False
        self.found = _ended(self._profile)
        return True


def profiled(step: Callable[[], None]) -> Milliseconds:
    """Of STEPS steps."""
    running = _started()
    for _ in range(STEPS):
        step()
    return _ended(running) if running else {}


def _started() -> profile | None:
    """None where there is no GPU, or it cannot be looked into: what was timed is worth keeping all the same."""
    if not torch.cuda.is_available():
        return None
    torch.cuda.synchronize()
    made = profile(activities=[ProfilerActivity.CUDA], acc_events=True)
    try:
        made.start()
    except (RuntimeError, AssertionError):
        traceback.print_exc()
        return None
    return made


def _ended(running: profile) -> Milliseconds:
    torch.cuda.synchronize()
    try:
        running.stop()
        return by_kind(running)
    except (RuntimeError, AssertionError, AttributeError):
        traceback.print_exc()
        return {}


def by_kind(done: profile) -> Milliseconds:
    """Milliseconds of a step, by kind of kernel, the longest first."""
    spent: Counter[str] = Counter()
    for event in done.key_averages():
        spent[kind_of(event.key)] += event.self_device_time_total
    return {kind: micro / 1e3 / STEPS for kind, micro in spent.most_common()}


def kind_of(kernel: str) -> str:
    """Of KINDS, by the kernel's name."""
    name = kernel.lower()
    return next((kind for kind, parts in KINDS.items() if any(part in name for part in parts)), OTHER)


def kernel_rows(training: str, ours: Milliseconds, rivals: Milliseconds) -> list[Row]:
    """Side by side, with a sum."""
    if not ours:
        return []
    kinds = [*sorted(ours | rivals, key=lambda kind: -max(ours.get(kind, 0.0), rivals.get(kind, 0.0)))]
    rows: list[Row] = [
        {"training": training, "kernels": kind, "ours ms": ours.get(kind, 0.0), "timm's ms": rivals.get(kind, 0.0)}
        for kind in kinds
    ]
    total: Row = {"ours ms": sum(ours.values()), "timm's ms": sum(rivals.values())}
    return [*rows, {"training": training, "kernels": "all", **total}]
