"""What a start imports: torch takes seconds and half a gigabyte, and a miner that OpenVINO serves needs none of it."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "timm", "triton", "transformers", "pandas", "pyarrow", "scipy", "fiftyone", "lightning", "ray")

PROGRAM = f"""
import sys
import streetvision.miner.miner, streetvision.miner.process
from streetvision.runner.device_check import device_trouble
from streetvision.runner.devices import device_kind
assert device_kind("cpu") == "cpu" and device_trouble("cpu") is None
print([name for name in {HEAVY!r} if name in sys.modules])
"""


def test_a_miner_on_a_cpu_is_imported_and_checked_without_torch() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"
