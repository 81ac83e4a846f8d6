"""Which forward serves a network on CUDA, in which precision, and why."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from streetvision.engine.types import ImageArray
from streetvision.models.dinov3 import StreetVisionNet
from streetvision.runner.calibration_images import calibration_images
from streetvision.runner.cuda_graphs import Forward
from streetvision.runner.precision import Precision, compare, judge
from streetvision.runner.precision_cache import PrecisionCache, PrecisionVerdict, Spans

if TYPE_CHECKING:
    from streetvision.runner.cuda_forward import FastForward

CALIBRATION_BATCH = 64
CHECKED_IMAGES, CHECKED_SCENES = 16, 4
MAX_APART = 0.05
"""Probability: bfloat16's own rounding has moved it by 0.017 at most, a wrong kernel moves it anywhere."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A forward and what it computes in."""

    forward: Forward
    precision: Precision


def why_not_fast(net: StreetVisionNet, device: torch.device) -> str | None:
    """Why the fast forward cannot run this network there, as part of a sentence; None if it can."""
    if device.type != "cuda":
        return "it needs a CUDA device"
    try:
        from streetvision.runner.cuda_forward import missing_for_fast
    except ImportError as error:
        return f"its kernels cannot be imported ({error})"
    return missing_for_fast(net, device)


def fast_failures() -> tuple[type[Exception], ...]:
    """What building or first running the fast forward may raise: no compiler, or a library or chip that lacks it."""
    import subprocess

    from triton.errors import TritonError

    return (RuntimeError, OSError, subprocess.SubprocessError, TritonError)


def choose_fast(
    net: StreetVisionNet,
    device: torch.device,
    precision: str,
    pictures: Callable[[], ImageArray] | None = None,
    verdicts: PrecisionCache | None = None,
) -> Chosen:
    """The fast forward of a network: float8 where `precision` allows and the gate does, bfloat16 otherwise.

    `pictures` gives what float8 is calibrated and judged on, uint8 [N, S, S, 3] (default: drawn scenes); `fp8` insists,
    and takes float8 whatever the gate says. What came of it is asked of `verdicts` first, and told them. Raises one of
    `fast_failures` when it cannot run, or when its answers are not those of timm's own forward in float32.
    """
    from streetvision.runner.cuda_forward import FastForward, has_float8

    bfloat16 = FastForward(net, device)
    _require_agreement(net, device, bfloat16)
    if precision == "bf16":
        return Chosen(bfloat16, Precision("bf16", "bfloat16 was asked for"))
    if not has_float8(device):
        return Chosen(bfloat16, Precision("bf16", f"{torch.cuda.get_device_name(device)} has no float8"))

    def again(known: PrecisionVerdict) -> Forward:
        peaks = {name: float(peak) for name, peak in known.spans.items()}
        return bfloat16 if known.precision.name == "bf16" else FastForward(net, device, peaks=peaks)

    return known_or_judged(verdicts, again, lambda: _judged(net, device, bfloat16, precision, pictures))


def known_or_judged(
    verdicts: PrecisionCache | None,
    again: Callable[[PrecisionVerdict], Forward],
    judged: Callable[[], tuple[Chosen, Spans]],
) -> Chosen:
    """What an earlier start chose, built `again`, or what is `judged` now, which later starts will know."""
    known = verdicts.recall() if verdicts is not None else None
    if known is not None:
        try:
            return Chosen(again(known), known.precision)
        except (LookupError, ValueError) as error:
            logger.warning("the verdict of an earlier start does not fit the model (%r); it is judged anew", error)
    chosen, spans = judged()
    if verdicts is not None:
        verdicts.remember(PrecisionVerdict(chosen.precision, spans))
    return chosen


def _judged(
    net: StreetVisionNet,
    device: torch.device,
    bfloat16: FastForward,
    precision: str,
    pictures: Callable[[], ImageArray] | None,
) -> tuple[Chosen, Spans]:
    """Float8 or bfloat16, and the peaks that float8 was calibrated by."""
    from streetvision.runner.cuda_forward import FastForward

    images = pictures() if pictures is not None else calibration_images(net.input_size)
    batches = _batches(images, device)
    peaks = bfloat16.observe(batches)
    if not all(math.isfinite(peak) for peak in peaks.values()):
        return Chosen(bfloat16, Precision("bf16", "activations are not finite, so float8 cannot be calibrated")), {}
    float8 = FastForward(net, device, peaks=peaks)
    moved = compare(*(_logits(forward, batches)[: len(images)] for forward in (bfloat16, float8)))
    verdict = judge(moved)
    if precision == "fp8" and verdict.name != "fp8":
        logger.warning("float8 was asked for and serves, although %s", moved)
        verdict = Precision("fp8", f"float8 was asked for, although {moved}")
    if verdict.name != "fp8":
        return Chosen(bfloat16, verdict), {}
    return Chosen(float8, verdict), {name: torch.tensor(peak, dtype=torch.float64) for name, peak in peaks.items()}


def _require_agreement(net: StreetVisionNet, device: torch.device, forward: Forward) -> None:
    """A few pictures through both: kernels that are wrong on this chip or driver must not answer a validator."""
    drawn = calibration_images(net.input_size, scenes=CHECKED_SCENES, count=CHECKED_IMAGES)
    batch = torch.from_numpy(drawn).to(device)
    reference = copy.deepcopy(net).for_inference(device, torch.float32)
    tokens = reference.tokens(reference.preprocess(batch))
    exact, _ = reference.head(tokens, scale=net.scale, shift=net.shift)  # no kernel of ours has a part in it
    apart = float((torch.sigmoid(exact) - torch.sigmoid(forward(batch)[0].float())).abs().max())
    if not apart <= MAX_APART:  # NaN does not pass either
        raise RuntimeError(f"its probabilities are up to {apart:.3f} from those of timm's forward")


def _batches(images: ImageArray, device: torch.device) -> list[torch.Tensor]:
    """On the device, in equal batches: what is left over is filled up with the first images."""
    whole = -len(images) % CALIBRATION_BATCH
    filled = np.concatenate((images, images[np.arange(whole) % len(images)])) if whole else images
    return list(torch.split(torch.from_numpy(np.ascontiguousarray(filled)).to(device), CALIBRATION_BATCH))


def _logits(forward: Forward, batches: list[torch.Tensor]) -> np.ndarray:
    return torch.cat([forward(batch)[0] for batch in batches]).cpu().numpy()
