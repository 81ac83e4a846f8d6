"""Verdicts of the precision gate, kept between starts: judging takes up to minutes, and would say the same again.

A verdict holds for the same weights, description, wish, device, torch and code; anything else is another question, and
judged. A file that cannot be read is judged anew, one that cannot be written costs the next start its time.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from streetvision.base.disk import write_atomically
from streetvision.errors import reason
from streetvision.models.config import ModelConfig
from streetvision.runner.precision import Precision
from streetvision.runner.question import EARLIER, JUDGED, described, digest_of, key_of, package_files, processor

Spans = Mapping[str, torch.Tensor]
"""What a quick forward was calibrated with, by its own names."""

KEPT = 32
"""Files; the least recently written go first."""
CODE = (
    *JUDGED,
    "runner/choose.py",
    "runner/choose_cpu.py",
    "runner/choose_cuda.py",
    "runner/cuda_forward.py",
    "runner/cuda_head.py",
    "runner/cuda_weights.py",
    "runner/cpu_forward.py",
    "runner/cpu_weights.py",
    "runner/mlp_weights.py",
    "runner/*parts.py",
)
"""What forwards, calibration pictures and the gate are made of, beside the kernels."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PrecisionVerdict:
    """What serves, and what to build it from."""

    precision: Precision
    spans: Spans
    """Empty where it needs none."""


class PrecisionCache:
    """The verdicts in one folder on one question; `question` is all that the answer depends on."""

    def __init__(self, folder: Path, question: Mapping[str, object]) -> None:
        self._path = folder / f"{key_of(question)}.safetensors"

    def recall(self) -> PrecisionVerdict | None:
        """The verdict of an earlier start, None if there is none that can be read."""
        if not self._path.exists():
            return None
        try:
            with safe_open(self._path, framework="pt") as file:
                told = file.metadata() or {}
                spans = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
            return PrecisionVerdict(Precision(told["name"], told["reason"] + EARLIER), spans)
        except (OSError, SafetensorError, LookupError) as error:
            logger.warning("the verdict in %s cannot be read (%s); the model is judged anew", self._path, reason(error))
            return None

    def remember(self, verdict: PrecisionVerdict) -> None:
        """Keep it for the starts to come."""
        told = {"name": verdict.precision.name, "reason": verdict.precision.reason}
        spans = {name: span.detach().cpu().contiguous() for name, span in verdict.spans.items()}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, save(spans, told))
            _forget_oldest(self._path.parent)
        except (OSError, SafetensorError) as error:
            logger.warning(
                "the verdict on the precision cannot be kept (%s); the next start judges anew", reason(error)
            )


def verdicts_on(folder: Path, config: ModelConfig, wish: str, device: torch.device) -> PrecisionCache:
    """About the model of that description, which names its weights' sha256, on this machine's device."""
    cuda = device.type == "cuda"
    question = {
        "model": described(asdict(config)),
        "wish": wish,
        "device": torch.cuda.get_device_name(device) if cuda else processor(),
        "torch": torch.__version__,
        "code": _code(),
    }
    return PrecisionCache(folder, question)


@cache
def _code() -> str:
    """Digest of all that computes, calibrates and judges."""
    return digest_of(judged_by())


def judged_by() -> tuple[Path, ...]:
    """The files that a verdict rests on, always in the same order."""
    import streetvision_kernels

    return *package_files(CODE), *sorted(Path(streetvision_kernels.__file__).parent.glob("*.py"))


def _forget_oldest(folder: Path) -> None:
    files = sorted(folder.glob("*.safetensors"), key=os.path.getmtime)
    for path in files[:-KEPT]:
        path.unlink(missing_ok=True)
