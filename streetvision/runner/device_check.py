"""Whether a device computes at all, asked before a model is loaded onto it."""

from __future__ import annotations

import torch

from streetvision.runner.devices import first_line, resolve_device


def device_trouble(name: str) -> str | None:
    """Why the device of that name cannot add two numbers, in one line; None where it can. Blocks for seconds.

    `name` is as for TorchRunner; ConfigError where it names no device at all.
    """
    device = resolve_device(name)
    try:
        total = float(torch.ones(2, device=device).sum())
    except RuntimeError as error:
        return first_line(error)
    return None if total == 2.0 else f"{device} adds 1 and 1 up to {total:g}"
