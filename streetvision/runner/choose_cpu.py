"""Which forward serves a network on its device, in which precision, and why: on a CPU by oneDNN, on CUDA by Triton."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from streetvision.engine.types import ImageArray
from streetvision.models.dinov3 import StreetVisionNet
from streetvision.runner import choose_cuda as forwards
from streetvision.runner.calibration_images import calibration_images
from streetvision.runner.choose_cuda import Chosen
from streetvision.runner.cuda_graphs import Forward
from streetvision.runner.precision import Precision, compare, judge
from streetvision.runner.precision_cache import PrecisionCache, PrecisionVerdict, Spans

if TYPE_CHECKING:
    from streetvision.runner.cpu_forward import SmallForward
    from streetvision.runner.cpu_weights import Ranges

BATCH = 8
CHECKED_IMAGES = 2
MAX_APART = 1e-3
"""Probability: float32 in another order moves it by a hundredth of that, a wrong product moves it anywhere."""
QUICK = ("int8", "bf16")
"""What `auto` tries on a CPU, the quickest first."""

ENDS = ("low", "high")
"""Of what a channel spans."""

Pictures = Callable[[], ImageArray]

logger = logging.getLogger(__name__)


def why_not_fast(net: StreetVisionNet, device: torch.device) -> str | None:
    """Why the fast forward of that device cannot run this network, as part of a sentence; None if it can."""
    if device.type != "cpu":
        return forwards.why_not_fast(net, device)
    try:
        from streetvision.runner.cpu_forward import missing_for_small
    except ImportError as error:
        return f"its parts cannot be imported ({error})"
    return missing_for_small(net)


def fast_failures(device: torch.device) -> tuple[type[Exception], ...]:
    """What building or first running the fast forward of that device may raise."""
    return (RuntimeError, NotImplementedError) if device.type == "cpu" else forwards.fast_failures()


def choose_fast(
    net: StreetVisionNet,
    device: torch.device,
    precision: str,
    pictures: Pictures | None = None,
    verdicts: PrecisionCache | None = None,
) -> Chosen:
    """The fast forward in the precision that was asked for, or in the device's own, with the reason.

    `default` is bfloat16 on CUDA and float32 on a CPU; `auto` and the names are the quicker ones, judged on `pictures`
    (uint8 [N, S, S, 3]; default: drawn scenes) unless `verdicts` knows what came of it. Raises one of `fast_failures`
    when it cannot run or answers wrongly.
    """
    if device.type == "cpu":
        return choose_small(net, precision, pictures, verdicts)
    if precision not in ("default", "int8"):
        return forwards.choose_fast(net, device, precision, pictures, verdicts)
    reason = "it is a GPU's own" if precision == "default" else "int8 is for CPUs"
    return replace(forwards.choose_fast(net, device, "bf16"), precision=Precision("bf16", reason))


def choose_small(
    net: StreetVisionNet, precision: str, pictures: Pictures | None = None, verdicts: PrecisionCache | None = None
) -> Chosen:
    """A CPU's: float32 as oneDNN computes it, or what `precision` allows if the processor has it and the gate passes.

    Unlike float8 on CUDA no name insists: a precision that fails its gate never serves on a CPU. Raises RuntimeError
    when its answers are not those of timm's own forward.
    """
    from streetvision.runner.cpu_forward import SmallForward

    exact = SmallForward(net.for_inference("cpu", torch.float32))
    _require_agreement(net, exact)
    if precision == "default":
        return Chosen(exact, Precision("float32", "it is a CPU's own"))
    wanted = QUICK if precision == "auto" else (precision,)
    missing = {name: _missing(name) for name in wanted}
    able = [name for name in wanted if missing[name] is None]
    if not able:
        reasons = "; ".join(f"no {name}: {why}" for name, why in missing.items())
        return _explained(exact, precision, reasons)

    def again(known: PrecisionVerdict) -> Forward:
        return exact if known.precision.name == "float32" else _quick(net, known.precision.name, _ranges(known.spans))

    def judged() -> tuple[Chosen, Spans]:
        return _judged(net, exact, able, pictures or (lambda: calibration_images(net.input_size)))

    chosen = forwards.known_or_judged(verdicts, again, judged)
    if chosen.forward is exact:
        return _explained(exact, precision, chosen.precision.reason)
    return chosen


def _judged(net: StreetVisionNet, exact: SmallForward, able: list[str], pictures: Pictures) -> tuple[Chosen, Spans]:
    """The first of the `able` precisions that passes, in their order, and what int8 takes; float32 where none does."""
    batches = list(torch.split(torch.from_numpy(np.ascontiguousarray(pictures())), BATCH))
    logger.info("judging %s on %d pictures", " and ".join(able), sum(map(len, batches)))
    logits, ranges = exact.watch(batches)
    reasons = []
    for name in able:
        quick = _quick(net, name, ranges)
        moved = compare(logits.numpy(), torch.cat([quick(batch)[0] for batch in batches]).numpy())
        verdict = judge(moved, name, "float32")
        if verdict.name == name:
            return Chosen(quick, verdict), _spans(ranges) if name == "int8" else {}
        reasons.append(verdict.reason)
    return Chosen(exact, Precision("float32", "; ".join(reasons))), {}


def _quick(net: StreetVisionNet, name: str, ranges: Ranges) -> SmallForward:
    from streetvision.runner.cpu_forward import SmallForward

    return SmallForward(net, ranges=ranges) if name == "int8" else SmallForward(net, dtype=torch.bfloat16)


def _spans(ranges: Ranges) -> Spans:
    """As a verdict keeps them; `_ranges` takes them back."""
    return {f"{name}.{end}": span for name, ends in ranges.items() for end, span in zip(ENDS, ends, strict=True)}


def _ranges(spans: Spans) -> Ranges:
    names = {key.rpartition(".")[0] for key in spans}
    return {name: (spans[f"{name}.low"], spans[f"{name}.high"]) for name in names}


def _explained(exact: Forward, precision: str, reason: str) -> Chosen:
    if precision != "auto":
        logger.warning("%s was asked for, but float32 serves: %s", precision, reason)
    return Chosen(exact, Precision("float32", reason))


def _missing(name: str) -> str | None:
    from streetvision.runner.cpu_forward import missing_for_bfloat16, missing_for_int8

    if name == "fp8":
        return "float8 is for GPUs"
    return missing_for_bfloat16() if name == "bf16" else missing_for_int8()


def _require_agreement(net: StreetVisionNet, forward: Forward) -> None:
    """Noise through both: a product that is wrong on this processor must not answer a validator."""
    shape = (CHECKED_IMAGES, net.input_size, net.input_size, 3)
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    expected, got = (torch.sigmoid(answer(noise)[0]) for answer in (net.forward_uint8, forward))
    apart = float((expected - got).abs().max())
    if not apart <= MAX_APART:  # NaN does not pass either
        raise RuntimeError(f"its probabilities are up to {apart:.4f} from those of timm's forward")
