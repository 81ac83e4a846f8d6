"""`make bench`: run every benchmark that this machine can, one after the other. Some need a GPU or many cores."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import torch

HERE = Path(__file__).parent
CPU = (
    ["axon.py"],
    ["decode.py"],
    ["engine.py"],
    ["runner.py"],
    ["siglip.py", "--device", "cpu", "--threads", "1"],
    ["view_load.py"],
    ["memory.py"],
    ["miner_start.py"],
    ["prediction_log.py"],
    ["data.py"],
    ["labelling.py"],
    ["monitor.py"],
    ["metrics.py"],
    ["monitoring_cost.py"],
    ["sprites.py"],
    ["verdicts.py"],
    ["retrain_gates.py"],
    ["retrain_resume.py"],
    ["retrain_serving.py"],
    ["retraining.py"],
    ["synthetic.py"],
)
MINING = (["mining.py"], ["mining_pays.py"])
"""These want the extra `mining`."""
RIVALS = (["cpu.py"],)
"""These want the extra `bench`."""
GPU = (
    ["forward.py"],
    ["forward_sizes.py"],
    ["siglip.py", "--device", "cuda"],
    ["serving_kernels.py"],
    ["attention_tokens.py"],
    ["head.py"],
    ["pipeline.py"],
    ["views.py"],
    ["partition.py"],
    ["compile_gain.py"],
    ["training.py"],
)
TWO_GPUS = (["two_gpus.py"],)


def main() -> int:
    """Run them all; the exit code is the number of those that failed."""
    failed = 0
    mining = MINING if importlib.util.find_spec("fiftyone") else ()
    rivals = RIVALS if importlib.util.find_spec("openvino") else ()
    for command in (
        *CPU,
        *mining,
        *rivals,
        *(GPU if torch.cuda.is_available() else ()),
        *(TWO_GPUS if torch.cuda.device_count() > 1 else ()),
    ):
        print(f"\n== {command[0]}", flush=True)
        failed += subprocess.run([sys.executable, str(HERE / command[0]), *command[1:]], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
