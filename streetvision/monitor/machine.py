"""Reads how much disk, memory (of the container where it has a limit) and GPU is left; never fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from streetvision.base.resources import usable_memory
from streetvision.monitor.observation import MachineView

GpuReader = Callable[[], MachineView]
"""Fills in the GPU's fields alone."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


def read_machine(folder: Path, gpu: GpuReader | None = None, *, root: Path = Path("/")) -> MachineView:
    """Disk of `folder` (or of its nearest parent that exists), memory under `root`'s proc and sys, and the GPU."""
    view = MachineView() if gpu is None else gpu()
    free, total = _disk(folder)
    memory = usable_memory(root)
    return replace(
        view,
        disk_free=free,
        disk_total=total,
        disk_folder=str(folder),
        memory_available=memory.available,
        memory_total=memory.total,
        process_bytes=_resident(root),
    )


def _disk(folder: Path) -> tuple[int | None, int | None]:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        state = os.statvfs(folder)
    except OSError:
        return None, None
    return state.f_bavail * state.f_frsize, state.f_blocks * state.f_frsize


def _resident(root: Path) -> int | None:
    parts = _text(root / "proc/self/statm").split()
    return int(parts[1]) * _PAGE if len(parts) > 1 else None


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def cuda_reader(index: int = 0) -> GpuReader:
    """Reads one CUDA device through torch; nothing while the driver fails, the rest where NVML's module is there."""
    import torch

    known = _nvml_failures()

    def nvml(read: Callable[[int], float]) -> float | None:
        try:
            return float(read(index))
        except known:
            return None

    def read() -> MachineView:
        try:
            free, total = torch.cuda.mem_get_info(index)
        except RuntimeError:
            return MachineView()
        busy, milliwatts = nvml(torch.cuda.utilization), nvml(torch.cuda.power_draw)
        return MachineView(
            gpu_free=free,
            gpu_total=total,
            gpu_others=max(0, total - free - torch.cuda.memory_reserved(index)),
            gpu_celsius=nvml(torch.cuda.temperature),
            gpu_busy=None if busy is None else busy / 100,
            gpu_watts=None if milliwatts is None else milliwatts / 1000,
        )

    return read


def _nvml_failures() -> tuple[type[Exception], ...]:
    """Raised by torch's questions to NVML without its module, without a driver, or on a part of a GPU (MIG)."""
    general = (ModuleNotFoundError, RuntimeError)
    try:
        from pynvml import NVMLError
    except ImportError:
        return general
    return (*general, NVMLError)
