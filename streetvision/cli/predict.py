"""`streetvision predict`: what would the miner answer for these files?"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streetvision.cli.shared import miner_settings
from streetvision.engine.decode import DecodeLimits
from streetvision.engine.types import Prediction
from streetvision.errors import OperatorError
from streetvision.miner.model_choice import choose_checkpoint
from streetvision.models.logits import sigmoid
from streetvision.models.versions import BUNDLED

if TYPE_CHECKING:
    from streetvision.evaluation.predictions import Unanswered

AHEAD = 2
"""Files that are read meanwhile: one is decoded while another is computed."""


def predict(
    images: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Image files: JPEG, PNG or WebP.")],
    model: Annotated[str, typer.Option(help="Version, folder, hf:owner/name@tag, or `bundled`.")] = BUNDLED,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Print P(roadwork) for each file; exit code 1 when any of them could not be answered."""
    settings = miner_settings(None)
    settings = replace(settings, model=replace(settings.model, choice=model))
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
    from streetvision.evaluation.predictions import Serving, answers, serving  # brings torch

    failed = 0
    async with serving(checkpoint, Serving(device, limits, views=True, buckets=(1,))) as engine:
        async for path, found in answers(engine, ((path, path.read_bytes) for path in paths), ahead=AHEAD):
            fields = _fields(path, found)
            failed += "error" in fields
            _show(fields, as_json)
    return failed


def _fields(path: Path, found: Prediction | Unanswered) -> dict[str, Any]:
    if not isinstance(found, Prediction):
        return {"file": str(path), "error": found.reason}
    return {
        "file": str(path),
        "probability": round(found.probability, 6),
        "width": found.width,
        "height": found.height,
        "model": found.model_version,
        "views": found.views,
        "decoded": found.decoded,
        "members": [round(sigmoid(logit), 6) for logit in found.members],
        "router": found.router,
    }


def _show(fields: dict[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(fields) + "\n")
    elif "error" in fields:
        sys.stderr.write(f"{fields['file']}: {fields['error']}\n")
    else:
        word = "roadwork" if fields["probability"] > 0.5 else "no roadwork"
        sys.stdout.write(f"{fields['probability']:.4f}  {word:<12} {fields['file']}\n")
