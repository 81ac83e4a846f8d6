"""What a real GPU raises when its context is lost is known as such, from the kernel up to the engine's caller."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: run make test-gpu on a GPU machine"),
]


@pytest.mark.parametrize(
    ("case", "words"), [("illegal", "an illegal memory access"), ("assert", "device-side assert triggered")]
)
def test_a_device_that_is_lost_is_told_from_a_model_that_fails(case: str, words: str) -> None:
    script = Path(__file__).with_name("lost_device_cases.py")
    done = subprocess.run(
        [sys.executable, str(script), case],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["before"] is None, "it served before"
    assert told["answers"] == ["DeviceLost", "DeviceLost"]
    kind, why = told["loss"]
    assert (kind, words in why) == ("lost", True)
    assert told["alone"] == "LOST"
    assert told["freed"], "closing the engine closes the runner, which raises nothing"
