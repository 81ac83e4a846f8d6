"""Which forward serves a network on its device, in which precision, and why: on a CPU by oneDNN, on CUDA by Triton."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch

from streetvision.engine.types import ImageArray
from streetvision.models.network import StreetVisionNet
from streetvision.runner.calibration_images import calibration_images
from streetvision.runner.choose_cpu import CpuForwards
from streetvision.runner.choose_cuda import CudaForwards
from streetvision.runner.cuda_graphs import Forward
from streetvision.runner.precision import LONG_NAMES, Precision, compare, judge, require_alike
from streetvision.runner.precision_cache import PrecisionCache, PrecisionVerdict, Spans

CALIBRATED = ("fp8", "int8")
"""These are built from what the exact forward's activations span."""

Exact = TypeVar("Exact", bound=Forward)
Pictures = Callable[[], ImageArray]

logger = logging.getLogger(__name__)


class DeviceForwards(Protocol[Exact]):
    """What a kind of device has for this choice."""

    own: str
    """The precision that it serves in by default; no gate judges it."""
    max_apart: float
    """Probability: how far the exact forward may be from timm's."""

    def why_not(self, net: StreetVisionNet) -> str | None:
        """Why the fast forward cannot run this network here, as part of a sentence; None if it can."""
        ...

    def failures(self) -> tuple[type[Exception], ...]:
        """What building or first running a forward may raise."""
        ...

    def exact(self, net: StreetVisionNet) -> Exact:
        """The fast forward in its own precision."""
        ...

    def expected(self, net: StreetVisionNet) -> tuple[torch.Tensor, torch.Tensor]:
        """A few uint8 images on the device, and timm's logits of them in float32."""
        ...

    def candidates(self, precision: str) -> tuple[list[str], str]:
        """The quicker precisions to try for that wish, in order; without any, why its own serves."""
        ...

    def batches(self, images: ImageArray) -> list[torch.Tensor]:
        """Pictures [N, S, S, 3] on the device, as forwards take them; the last batch may be filled up."""
        ...

    def watch(self, exact: Exact, batches: Sequence[torch.Tensor]) -> tuple[torch.Tensor, Spans]:
        """Logits of the batches, and what enters each product spans."""
        ...

    def quick(self, net: StreetVisionNet, name: str, spans: Spans) -> Forward:
        """The fast forward in a quicker precision; raises LookupError or ValueError where `spans` do not fit it."""
        ...


@dataclass(frozen=True, slots=True)
class Chosen:
    """A forward and what it computes in."""

    forward: Forward
    precision: Precision


def forwards_of(device: torch.device) -> CpuForwards | CudaForwards:
    """The forwards that such a device has."""
    return CpuForwards() if device.type == "cpu" else CudaForwards(device)


def choose_fast(
    net: StreetVisionNet,
    device: torch.device,
    precision: str,
    pictures: Pictures | None = None,
    verdicts: PrecisionCache | None = None,
) -> Chosen:
    """The fast forward in the precision that was asked for, or in the device's own, with the reason.

    `default` is bfloat16 on CUDA and float32 on a CPU; `auto` and the names are the quicker ones, judged on `pictures`
    (uint8 [N, S, S, 3]; default: drawn scenes) unless `verdicts` knows what came of it. What fails its gate does not
    serve, but `fp8` insists. Raises one of the device's `failures` when it cannot run or answers wrongly.
    """
    drawn = pictures or (lambda: calibration_images(net.input_size))
    if device.type == "cpu":
        return Choice(net, CpuForwards()).choose(precision, drawn, verdicts)
    return Choice(net, CudaForwards(device)).choose(precision, drawn, verdicts)


class Choice(Generic[Exact]):
    """Chooses for one network on one device."""

    def __init__(self, net: StreetVisionNet, device: DeviceForwards[Exact]) -> None:
        """Build the exact forward; raises RuntimeError where its answers are not timm's."""
        self._net, self._device = net, device
        self._exact = device.exact(net)
        images, expected = device.expected(net)
        wanted, got = (logits.detach().float().cpu().numpy() for logits in (expected, self._exact(images)[0]))
        require_alike(wanted, got, device.max_apart, "of timm's forward")

    def choose(self, precision: str, pictures: Pictures, verdicts: PrecisionCache | None) -> Chosen:
        """The forward for that wish, as `choose_fast` describes it."""
        names, otherwise = self._device.candidates(precision)
        chosen = self._known_or_judged(precision, names, pictures, verdicts) if names else self._own(otherwise)
        serves = chosen.precision
        if precision not in ("auto", "default", serves.name):
            logger.warning("%s was asked for, but %s serves: %s", precision, serves.name, serves.reason)
        return chosen

    def _own(self, reason: str) -> Chosen:
        return Chosen(self._exact, Precision(self._device.own, reason))

    def _known_or_judged(
        self, precision: str, names: list[str], pictures: Pictures, verdicts: PrecisionCache | None
    ) -> Chosen:
        """What an earlier start chose, built again, or what is judged now, which later starts will know."""
        known = verdicts.recall() if verdicts is not None else None
        if known is not None:
            try:
                return Chosen(self._again(known), known.precision)
            except (LookupError, ValueError) as error:
                logger.warning("the verdict of an earlier start does not fit the model (%r); it is judged anew", error)
        chosen, spans = self._judged(precision, names, pictures())
        if verdicts is not None:
            kept = spans if chosen.precision.name in CALIBRATED else {}
            verdicts.remember(PrecisionVerdict(chosen.precision, kept))
        return chosen

    def _again(self, known: PrecisionVerdict) -> Forward:
        name = known.precision.name
        return self._exact if name == self._device.own else self._device.quick(self._net, name, known.spans)

    def _judged(self, precision: str, names: list[str], images: ImageArray) -> tuple[Chosen, Spans]:
        """The first that passes, in their order, or the device's own; and what a calibrated one was built from."""
        logger.info("judging %s on %d pictures", " and ".join(names), len(images))
        batches = self._device.batches(images)
        logits, spans = self._device.watch(self._exact, batches)
        if not all(bool(torch.isfinite(span).all()) for span in spans.values()):
            return self._own(f"activations are not finite, so {LONG_NAMES[names[0]]} cannot be calibrated"), {}
        reasons = []
        for name in names:
            quick = self._device.quick(self._net, name, spans)
            answers = torch.cat([quick(batch)[0] for batch in batches])
            moved = compare(*(part[: len(images)].cpu().numpy() for part in (logits, answers)))
            verdict = judge(moved, name, self._device.own)
            if verdict.name != name and precision == "fp8":
                logger.warning("float8 was asked for and serves, although %s", moved)
                verdict = Precision("fp8", f"float8 was asked for, although {moved}")
            if verdict.name == name:
                return Chosen(quick, verdict), spans
            reasons.append(verdict.reason)
        return self._own("; ".join(reasons)), {}
