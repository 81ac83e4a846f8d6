"""Images per second through the runner, bucket by bucket, upload and download included, with what warm-up costs.

On CUDA: DINOv3 S, B and L with random weights (speed does not depend on them). On the CPU: the small default model.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from harness import RESULTS, Row, machine, report

from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.network import LoadedModel, build, tiny_config
from streetvision.runner.torch_runner import TorchRunner, WarmupStep

WIDTHS = {"small": 384, "base": 768, "large": 1024}
MODES = ("fast", "eager", "compiled")
"""The fast forward, and timm's as it is or (on CUDA) with its blocks compiled."""


def description(size: str) -> ModelConfig:
    """Of a stock DINOv3, or of the package's own `tiny`."""
    if size == "tiny":
        return tiny_config()
    head = HeadConfig(embedding_dim=2 * WIDTHS[size])
    architecture = f"vit_{size}_patch16_dinov3"
    return replace(tiny_config(), name=size, architecture=architecture, architecture_kwargs={}, head=head)


def measure(size: str, mode: str, buckets: Sequence[int], device: str) -> list[Row]:
    config = description(size)
    steps: list[WarmupStep] = []
    runner = TorchRunner(
        LoadedModel(build(config), config),
        device=device,
        buckets=buckets,
        fast=None if mode == "fast" else False,
        compile=mode == "compiled",
        progress=steps.append,
    )
    runner.warmup()
    torch.compiler.reset()
    return [row(size, mode, step) for step in reversed(steps)]


def row(size: str, mode: str, step: WarmupStep) -> Row:
    return {
        "model": size,
        "mode": mode,
        "bucket": step.bucket,
        "first_s": step.compile_s,
        "run_ms": step.run_s * 1e3,
        "images_per_s": step.bucket / step.run_s,
    }


def main() -> None:
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for runner.json")
    parser.add_argument("--models", nargs="+", choices=["tiny", *WIDTHS], default=list(WIDTHS) if cuda else ["tiny"])
    parser.add_argument("--modes", nargs="+", choices=MODES, default=["fast"] if cuda else ["fast", "eager"])
    parser.add_argument("--buckets", type=int, nargs="+", default=[1, 8, 32, 128] if cuda else [1, 2, 4, 8])
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    where = machine()
    rows: list[Row] = []
    for size in arguments.models:
        for mode in arguments.modes:
            rows += measure(size, mode, arguments.buckets, arguments.device)
    report("runner", "The runner, upload and download included", rows, where, arguments.results)


if __name__ == "__main__":
    main()
