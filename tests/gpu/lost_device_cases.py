"""A GPU that is lost while the engine serves from it; its one argument says how. No process survives that, so each case
is a program of its own: it prints one JSON object, and ends without torch's teardown, as the miner does.
"""

from __future__ import annotations

import asyncio
import gc
import io
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import triton
import triton.language as tl
from PIL import Image

from streetvision.engine.engine import Engine
from streetvision.engine.faults import fault_of
from streetvision.engine.types import EngineError, RunnerFailure
from streetvision.models.network import LoadedModel, build, tiny_config
from streetvision.runner.torch_runner import TorchRunner

CONFIG = replace(tiny_config(depth=1, width=64), input_size=48)
FAR = 1 << 40
"""Floats from a tensor's beginning: no allocation reaches there."""


@triton.jit  # type: ignore[untyped-decorator]  # Triton's decorator carries no types
def _store(pointer, offset) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    tl.store(pointer + offset, 1.0)


def write_to_an_illegal_address(memory: torch.Tensor) -> None:
    _store[(1,)](memory, FAR)


def read_beyond_the_end(memory: torch.Tensor) -> None:
    """A device-side assert."""
    memory[torch.tensor([len(memory)], device=memory.device)].sum()


CASES: dict[str, Callable[[torch.Tensor], None]] = {
    "illegal": write_to_an_illegal_address,
    "assert": read_beyond_the_end,
}


def photo() -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((48, 48, 3), 90, np.uint8)).save(out, "JPEG")
    return out.getvalue()


async def error_of(engine: Engine) -> EngineError | None:
    try:
        await engine.predict(photo(), deadline=time.monotonic() + 60, priority=0.0)
    except EngineError as error:
        return error
    return None


def failure_of(runner: TorchRunner) -> RunnerFailure | None:
    """What the runner raises by itself."""
    try:
        runner.run(np.zeros((1, 48, 48, 3), np.uint8))
    except RunnerFailure as error:
        return error
    return None


async def serve_and_lose(harm: Callable[[torch.Tensor], None], device: str) -> dict[str, object]:
    runner = TorchRunner(LoadedModel(build(CONFIG), CONFIG), device=device, buckets=(1,), compile=False)
    engine = Engine(runner)
    await engine.start()
    before = await error_of(engine)
    memory = torch.zeros(8, device=device)
    right = runner._ready[1]

    def harmful(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        harm(memory)
        return right(images)

    runner._ready[1] = harmful
    answers = [type(await error_of(engine)).__name__ for _ in range(2)]
    loss = engine.route.active.device.loss
    alone = failure_of(runner)
    told = {
        "before": None if before is None else str(before),
        "answers": answers,
        "loss": None if loss is None else (loss.kind, loss.why),
        "alone": None if alone is None else fault_of(alone).name,
    }
    await engine.close()
    return told | {"freed": not vars(runner)}


def main() -> None:
    told = asyncio.run(serve_and_lose(CASES[sys.argv[1]], "cuda"))
    gc.collect()
    print(json.dumps(told), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
