"""The model on a device, in fixed batch sizes: one class for the CPU and for CUDA, told apart by its settings."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from streetvision.base.resources import usable_threads
from streetvision.engine.background_priority import stands_back
from streetvision.engine.types import ImageArray, RunnerFailure, RunnerOutput, ServedBy
from streetvision.models.network import LoadedModel, load
from streetvision.runner.bucketed import TIMED_RUNS, BucketedRunner
from streetvision.runner.cuda_graphs import Forward, capture, compiling, undo_compile
from streetvision.runner.device_check import has_lost
from streetvision.runner.devices import (
    CPU_BUCKETS,
    CUDA_BUCKETS,
    check_buckets,
    first_line,
    resolve_device,
)
from streetvision.runner.forward import Serving
from streetvision.runner.precision import Precision

_PINNED: dict[int, torch.Tensor] = {}
"""Pinned buffers by id, until their runner is closed: were one freed when the device is lost, torch would throw in a
destructor, which ends the process, and with it the CPU that serves in the device's place."""
_ON_LOST_DEVICES: list[dict[str, object]] = []
"""All that closed runners had on devices that were lost; kept for the same reason."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WarmupStep:
    """One bucket is ready."""

    bucket: int
    compile_s: float
    """Seconds until its first answer: compilation and capture, or next to nothing when run eagerly."""
    run_s: float
    """Median seconds of a warm run, upload and download included."""
    done: int
    total: int


class TorchRunner(BucketedRunner):
    """Runs a checkpoint in buckets: a batch is padded to the next bucket, and padding is cut off again.

    On CUDA images travel as uint8 through pinned memory and every bucket is one CUDA graph: of the fast forward where
    it knows the network, in float8 or bfloat16 as `precision` says, otherwise of timm's, compiled, in bfloat16 and with
    the head as a Triton kernel. On the CPU the fast forward is oneDNN's, in float32, or in bfloat16 or int8 as
    `precision` says, otherwise timm's in float32.

    Never two calls at once; each thread that calls `run` calls `warmup` first, which sets torch's thread count there.
    A `LoadedModel` passed in is moved to the device, cast, and the runner's own from then on.
    """

    def __init__(
        self,
        model: Path | LoadedModel,
        *,
        device: str = "auto",
        dtype: torch.dtype | None = None,
        buckets: Sequence[int] | None = None,
        compile: bool | None = None,
        threads: int | None = None,
        progress: Callable[[WarmupStep], None] | None = None,
        fast: bool | None = None,
        precision: str = "default",
        calibration: Callable[[], ImageArray] | None = None,
        verdicts: Path | None = None,
    ) -> None:
        """Load the model; raises CheckpointError, or ConfigError for a device or bucket that cannot be.

        `fast` None means the fast forward wherever it can run, True insists, False leaves it to timm's; it needs no
        compilation, so `compile` is for timm's. `precision` (default, auto, bf16, fp8, int8) is the fast forward's:
        auto takes a quicker one if it passes its gate on the pictures of `calibration` (default: drawn ones); fp8
        takes it in any case. `default` is bfloat16 on CUDA and float32 on the CPU. `verdicts` is a folder in which the
        gate's verdicts on drawn pictures are kept: the next start of the same model need not judge it again.

        `compile` None means on CUDA, with a logged sentence where it fails; True insists. On a CPU nothing is compiled.
        `threads` is for the CPU; None is torch's choice within a container's quota.
        """
        self._device = resolve_device(device)
        self._cuda = self._device.type == "cuda"
        sizes = check_buckets(buckets or (CUDA_BUCKETS if self._cuda else CPU_BUCKETS))
        self._threads = threads
        self._progress = progress
        self._model = model if isinstance(model, LoadedModel) else load(model)
        super().__init__(self._model.version, self._model.config, sizes)
        self._ready: dict[int, Forward] = {}
        self._serving = Serving(
            self._model,
            self._device,
            dtype=dtype,
            fast=fast,
            compile=compile,
            precision=precision,
            calibration=calibration,
            verdicts=verdicts,
        )
        self._pool = torch.cuda.graph_pool_handle() if self._cuda else None
        self._staging = torch.zeros(self._shape(sizes[-1]), dtype=torch.uint8, pin_memory=self._cuda)
        if self._cuda:
            _PINNED[id(self._staging)] = self._staging
        self._input = torch.zeros_like(self._staging, device=self._device) if self._cuda else self._staging

    @property
    def precision(self) -> Precision:
        """What the backbone's products run in, and why; warm-up decides."""
        return self._serving.precision

    @property
    def served_by(self) -> ServedBy:
        """What computes, for logs, the status and a replay's record."""
        threads = None if self._cuda else self._threads or min(torch.get_num_threads(), usable_threads())
        return ServedBy("torch", str(self._device), self.precision.name, self.precision.reason, threads)

    @property
    def fast(self) -> bool:
        """Whether the fast forward serves, rather than timm's."""
        return self._serving.fast

    @property
    def compiled(self) -> bool:
        """Whether torch.compile is in use, rather than eager execution."""
        return self._serving.compiled

    def warmup(self, buckets: Sequence[int] | None = None) -> dict[int, float]:
        """Compile, capture and time each bucket (None: all); returns seconds of one warm run, by bucket.

        No buckets: only set the calling thread up, for one that runs what another warmed. Takes seconds a bucket when
        compiling; `progress` hears of each. Raises RunnerFailure when the model gives NaN, OperatorError when it cannot
        be compiled although `compile` insists.
        """
        torch.set_num_threads(self._threads or min(torch.get_num_threads(), usable_threads()))
        if buckets is not None and not len(buckets):
            return {}
        wanted = self._buckets if buckets is None else check_buckets(buckets)
        seconds: dict[int, float] = {}
        runs = 0 if stands_back() else TIMED_RUNS  # beside serving each one costs others time
        # Largest first: the graphs of smaller buckets then fit into the memory that it left.
        for done, bucket in enumerate(sorted(wanted, reverse=True), start=1):
            started = time.perf_counter()
            images = self._noise(bucket)
            self._prepare(self._bucket_for(bucket))
            first = self._timed_run(images)
            compile_s = time.perf_counter() - started
            seconds[bucket] = statistics.median([self._timed_run(images) for _ in range(runs)] or [first])
            logger.info("bucket %d is warm: first run %.1f s, then %.4f s", bucket, compile_s, seconds[bucket])
            if self._progress is not None:
                self._progress(WarmupStep(bucket, compile_s, seconds[bucket], done, len(wanted)))
        return seconds

    def run(self, images: ImageArray) -> RunnerOutput:
        """Run uint8 [N, H, W, 3], 1 <= N <= buckets[-1]: calibrated logits [N], raw pooled embeddings [N, E], float32.

        Raises RunnerFailure on a device error or an answer that is not finite, ValueError on another shape or dtype.
        A bucket that was not warmed is prepared first, which is slow and logged.
        """
        count = self._check(images)
        bucket = self._bucket_for(count)
        if bucket > self._most:
            return self._run_parts(images)
        if bucket not in self._ready:
            logger.warning("bucket %d was not warmed up; preparing it while a request waits", bucket)
            self._prepare(bucket)
            return self.run(images)
        try:
            with torch.inference_mode():
                logits, embeddings = self._execute(images, count, bucket)
        except RuntimeError as error:
            raise RunnerFailure(f"the model failed on {self._device}: {first_line(error)}") from error
        return self._output(logits, embeddings)

    def close(self) -> None:
        """Free the weights, the graphs and, on CUDA, the memory that torch keeps for them; nothing may follow.

        What lies on a device that is lost is not freed but kept until the process ends.
        """
        undo_compile(self._model.net)
        if self._cuda and has_lost(self._device):
            _ON_LOST_DEVICES.append(dict(vars(self)))
        else:
            _PINNED.pop(id(self._staging), None)
        vars(self).clear()
        with suppress(RuntimeError):  # a lost device frees nothing any more
            torch.cuda.empty_cache()

    def _execute(self, images: ImageArray, count: int, bucket: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows beyond `count` keep what an earlier batch left there: no image's answer depends on another's."""
        np.copyto(self._staging.numpy()[:count], images)
        if self._cuda:
            self._input[:count].copy_(self._staging[:count], non_blocking=True)
        outputs = self._ready[bucket](self._input[:bucket])
        logits, embeddings = (output[:count].to("cpu", copy=True).numpy() for output in outputs)
        return logits, embeddings

    def _prepare(self, bucket: int) -> None:
        """Make the bucket ready: compile its shape and, on CUDA, capture its graph."""
        bucket = min(bucket, self._most)
        if bucket in self._ready:
            return
        try:
            self._ready[bucket] = self._prepared(bucket)
            return
        except self._serving.failures as failure:
            error = failure
        # Out here the failure's frames hold no memory any more.
        if isinstance(error, torch.OutOfMemoryError) and bucket > self._buckets[0]:
            self._run_in_parts(bucket)
        else:
            self._ready.clear()
            self._most = self._buckets[-1]
            self._serving.step_back(error)
            self._prepare(bucket)

    def _run_in_parts(self, bucket: int) -> None:
        """The device's memory is too small for batches of that size: they are answered by several of the next."""
        self._most = max(size for size in self._buckets if size < bucket)
        logger.warning("%s has no memory for batches of %d, so they run in parts", self._device, bucket)
        if self._cuda:
            torch.cuda.empty_cache()
        self._prepare(self._most)

    def _prepared(self, bucket: int) -> Forward:
        images = self._input[:bucket]
        with torch.inference_mode(), compiling():
            forward = self._serving.forward()
            return forward if self._pool is None else capture(forward, images, self._pool)

    def _bucket_for(self, count: int) -> int:
        return next(bucket for bucket in self._buckets if bucket >= count)

    def _timed_run(self, images: ImageArray) -> float:
        """On a CPU beside serving the thread's own time counts, not that for which it stood back."""
        clock = time.thread_time if stands_back() and not self._cuda else time.perf_counter
        started = clock()
        self.run(images)
        return clock() - started
