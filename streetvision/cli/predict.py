"""`streetvision predict`: what would the miner answer for these files?"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Annotated, Any

import typer

from streetvision.cli.shared import miner_settings
from streetvision.engine.decode import DecodeLimits
from streetvision.engine.device_health import RUN_AGAIN
from streetvision.engine.engine import Engine
from streetvision.engine.types import DeviceLost, EngineError, Prediction
from streetvision.errors import OperatorError, reason
from streetvision.miner.model_choice import choose_checkpoint
from streetvision.models.versions import BUNDLED

PATIENCE_S = 120.0


def predict(
    images: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Image files: JPEG, PNG or WebP.")],
    model: Annotated[str, typer.Option(help="Version, folder, hf:owner/name@tag, or `bundled`.")] = BUNDLED,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Print P(roadwork) for each file; exit code 1 when any of them could not be answered."""
    settings = replace(miner_settings(None), model=model)
    checkpoint = choose_checkpoint(settings)
    if not any(path.is_file() for path in images):
        names = ", ".join(map(str, images))
        there = any(path.exists() for path in images)
        raise OperatorError(f"{names}: name picture files" if there else f"there is no such file: {names}")
    from streetvision.miner.from_settings import decode_limits  # brings torch and the SDK

    failed = asyncio.run(_predict_all(images, checkpoint, device, decode_limits(settings), as_json))
    if failed:
        raise typer.Exit(1)


async def _predict_all(paths: list[Path], checkpoint: Path, device: str, limits: DecodeLimits, as_json: bool) -> int:
    from streetvision.runner.opening import open_runner

    # Judging float8 would take longer than answering.
    runner = open_runner(checkpoint, device=device, buckets=(1,), compile=False)
    engine = Engine(runner, limits=limits, view_seconds=inf)
    await engine.start()
    failed = 0
    try:
        for path in paths:
            fields = await _answer(engine, path)
            failed += "error" in fields
            _show(fields, as_json)
    finally:
        await engine.close()
    return failed


async def _answer(engine: Engine, path: Path) -> dict[str, Any]:
    try:
        data = await asyncio.to_thread(path.read_bytes)
        answer: Prediction = await engine.predict(data, deadline=time.monotonic() + PATIENCE_S, priority=0.0)
    except DeviceLost as error:
        raise OperatorError(f"{error}: {RUN_AGAIN}") from error
    except (OSError, EngineError) as error:
        return {"file": str(path), "error": reason(error)}
    return {
        "file": str(path),
        "probability": round(answer.probability, 6),
        "width": answer.width,
        "height": answer.height,
        "model": answer.model_version,
        "views": answer.views,
        "decoded": answer.decoded,
    }


def _show(fields: dict[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(fields) + "\n")
    elif "error" in fields:
        sys.stderr.write(f"{fields['file']}: {fields['error']}\n")
    else:
        word = "roadwork" if fields["probability"] > 0.5 else "no roadwork"
        sys.stdout.write(f"{fields['probability']:.4f}  {word:<12} {fields['file']}\n")
