"""What the programs of cases beside this file print, on the CPU under Triton's interpreter or on CUDA."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
INTERPRETED = {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}


def interpreted_rows(script: str) -> list[dict[str, Any]]:
    """Every case's row on the CPU; a warning is an error there."""
    return _rows(["-W", "error"], script, "cpu", os.environ | INTERPRETED, seconds=100)


def cuda_rows(script: str) -> list[dict[str, Any]]:
    """Every case's row on the GPU."""
    return _rows([], script, "cuda", dict(os.environ), seconds=300)


def _rows(options: list[str], script: str, device: str, environment: dict[str, str], seconds: int) -> list[Any]:
    command = [sys.executable, *options, "-m", f"tests.kernels.{script}", device]
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]
