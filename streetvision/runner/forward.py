"""What serves one model: the fast forward where it can run, else timm's: compiled on CUDA, and as it is on a CPU."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from torch._dynamo.exc import FailOnRecompileLimitHit

from streetvision.engine.faults import Fault, fault_of
from streetvision.engine.types import ImageArray, RunnerFailure
from streetvision.errors import OperatorError
from streetvision.models.network import LoadedModel
from streetvision.runner.choose import choose_fast, forwards_of
from streetvision.runner.cuda_graphs import Forward, compile_net, undo_compile
from streetvision.runner.devices import check_precision, first_line
from streetvision.runner.precision import Precision
from streetvision.runner.precision_cache import PrecisionCache, verdicts_on

logger = logging.getLogger(__name__)


def own_dtype(device: torch.device) -> torch.dtype:
    """What a device computes in unless it is asked for something else: bfloat16 where CUDA has it, float32 otherwise.

    Before Ampere bfloat16 is emulated, and slow; float16 would be quick there, but some activations exceed its range.
    """
    quick = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    return torch.bfloat16 if quick else torch.float32


class Serving:
    """One model's forward on a device; it steps down when one fails. Its options are TorchRunner's."""

    def __init__(
        self,
        model: LoadedModel,
        device: torch.device,
        *,
        dtype: torch.dtype | None,
        fast: bool | None,
        compile: bool | None,
        precision: str,
        calibration: Callable[[], ImageArray] | None,
        verdicts: Path | None,
    ) -> None:
        """Decide, and put timm's network on the device where that one serves; raises ConfigError, OperatorError."""
        self._model, self._device, self._cuda = model, device, device.type == "cuda"
        own = own_dtype(device)
        self._dtype = dtype or own
        self._wished, self._pictures, self._kept = check_precision(precision), calibration, verdicts
        self._insist_fast, self._compile = fast is True, compile
        self._forward: Forward | None = None
        self.compiled = False
        self.fast = self._decide_fast(fast, own)
        self.precision = Precision("bf16" if self._cuda else "float32", "the fast forward serves; warm-up decides")
        if not self.fast:
            self._take_timm()

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """What preparing it may raise that a step down may mend."""
        slow: tuple[type[Exception], ...] = (RuntimeError, FailOnRecompileLimitHit)
        return (*slow, *forwards_of(self._device).failures()) if self.fast else slow

    def forward(self) -> Forward:
        """What serves, built at the first call; in inference mode."""
        if self._forward is None:
            self._forward = self._build()
        return self._forward

    def step_back(self, error: Exception) -> None:
        """From the fast forward to timm's compiled, from there to eager; raises where no step is left or allowed."""
        if fault_of(error) is Fault.LOST:  # another forward on a lost device fails alike
            raise RunnerFailure(f"the model failed on {self._device}: {first_line(error)}") from error
        if self.fast and self._insist_fast:
            raise OperatorError(f"The fast forward failed on {self._device}: {first_line(error)}.") from error
        if self.fast:
            logger.warning("the fast forward failed, so timm's serves, and slower: %s", first_line(error))
            self._take_timm()
        elif self.compiled:
            self._give_up_compiling(error)
        else:
            raise RunnerFailure(f"the model failed on {self._device}: {first_line(error)}") from error

    def _give_up_compiling(self, error: Exception) -> None:
        """Run timm's as it is; raises OperatorError where compiling is insisted on."""
        if self._compile:
            raise OperatorError(f"torch.compile failed on {self._device}: {first_line(error)}.") from error
        logger.warning("torch.compile failed, so the model runs eagerly and slower: %s", first_line(error))
        self.compiled = False
        self._forward = undo_compile(self._model.net)

    def _build(self) -> Forward:
        net = self._model.net
        if not self.fast:
            return compile_net(net) if self.compiled else net.forward_uint8
        chosen = choose_fast(net, self._device, self._wished, self._pictures, self._verdicts())
        name, reason = chosen.precision.name, chosen.precision.reason
        self.precision = chosen.precision
        logger.info("the fast forward serves %s in %s: %s", self._model.version, name, reason)
        return chosen.forward

    def _verdicts(self) -> PrecisionCache | None:
        """None where nothing is judged, or it would not hold for the next start: pictures or weights without a name."""
        config = self._model.config
        if self._kept is None or self._wished == "default" or self._pictures is not None or not config.sha256:
            return None
        return verdicts_on(self._kept, config, self._wished, self._device)

    def _take_timm(self) -> None:
        """Put the network itself on the device; until then it stays where it was, as loaded."""
        self.fast, self._forward = False, None
        self._model.net.for_inference(self._device, self._dtype)
        self.precision = Precision(str(self._dtype).removeprefix("torch."), "timm's forward serves")
        self.compiled = self._cuda and self._compile is not False
        if self._compile and not self._cuda:
            logger.info("nothing is compiled on a CPU, so --compile has no effect here")

    def _decide_fast(self, wish: bool | None, own: torch.dtype) -> bool:
        why = "timm's was asked for" if wish is False else forwards_of(self._device).why_not(self._model.net)
        if why is None and self._dtype != own:
            why = f"{self._dtype} was asked for"
        if why is not None and wish:
            raise OperatorError(f"The fast forward cannot serve this model: {why}.")
        if why is not None:
            logger.info("timm's forward serves this model: %s", why)
        return why is None
