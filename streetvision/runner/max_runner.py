"""The model by Modular MAX (extra `max`), experimental: DINOv3 in float32 on a CPU, in bfloat16 on a GPU."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from streetvision.engine.background_priority import stands_back
from streetvision.engine.types import ImageArray, RunnerFailure, RunnerOutput, ServedBy
from streetvision.models.config import ModelConfig
from streetvision.models.logits import sigmoids
from streetvision.models.network import StreetVisionNet, load
from streetvision.runner.devices import (
    CPU_BUCKETS,
    CUDA_BUCKETS,
    check_buckets,
    check_precision,
    first_line,
    resolve_device,
)
from streetvision.runner.max_session import MaxSession
from streetvision.runner.precision import MAX_MOVE, Precision

OWN = {"cpu": Precision("float32", "MAX on a CPU has no other"), "cuda": Precision("bf16", "it is a GPU's own")}
MAX_APART = {"float32": 1e-3, "bf16": MAX_MOVE}
"""Probability: how far it may be from timm's forward in float32, by precision."""
CHECKED = 2
"""Noise pictures that it is compared on."""
TIMED_RUNS = 5
OUT_OF_MEMORY = "memory"

logger = logging.getLogger(__name__)


class MaxRunner:
    """Runs a checkpoint in batches of any size up to the largest bucket, without padding. Never two calls at once."""

    def __init__(
        self,
        folder: Path,
        *,
        device: str = "auto",
        buckets: Sequence[int] | None = None,
        threads: int | None = None,
        precision: str = "default",
    ) -> None:
        """Compile it, which takes minutes unless MAX's cache has a model of the same shapes, and compare with timm.

        The options are TorchRunner's. Raises CheckpointError, ConfigError, ValueError for a network that no graph is
        built for, and RuntimeError where MAX cannot compile it or answers otherwise than timm.
        """
        self._device = resolve_device(device).type
        self._buckets = check_buckets(buckets or (CUDA_BUCKETS if self._device == "cuda" else CPU_BUCKETS))
        self._most = self._buckets[-1]
        self.precision = OWN[self._device]
        self._tell_what_is_not_kept(check_precision(precision), threads)
        model = load(folder)
        self._version, self._config = model.version, model.config
        logger.info("MAX compiles %s, which takes minutes the first time", self.version)
        self._session = MaxSession(model.net, self.precision.name, self._device)
        self._require_equal(model.net)

    @property
    def version(self) -> str:
        """Version of the checkpoint; `bundled` for the one of the package, as everywhere else."""
        return self._version

    @property
    def config(self) -> ModelConfig:
        """The checkpoint's description: input size, resize rule, card."""
        return self._config

    @property
    def input_size(self) -> int:
        """Side of the square input in pixels."""
        return self._config.input_size

    @property
    def resize(self) -> str:
        """How an image becomes square, as the checkpoint says."""
        return self._config.resize

    @property
    def resample(self) -> str:
        """Filter that scales a picture to the input, as the checkpoint says."""
        return self._config.resample

    @property
    def buckets(self) -> tuple[int, ...]:
        """Batch sizes that are warmed up, ascending; those between them run without padding too."""
        return self._buckets

    @property
    def served_by(self) -> ServedBy:
        """What computes, for logs, the status and a replay's record."""
        return ServedBy("max", self._device, self.precision.name, self.precision.reason)

    def warmup(self, buckets: Sequence[int] | None = None) -> dict[int, float]:
        """Run and time each bucket (None: all); returns seconds of one warm run, by bucket. Raises RunnerFailure."""
        wanted = self._buckets if buckets is None else check_buckets(buckets) if len(buckets) else ()
        return {bucket: self._warm_up(bucket) for bucket in sorted(wanted, reverse=True)}

    def run(self, images: ImageArray) -> RunnerOutput:
        """Run uint8 [N, H, W, 3], 1 <= N <= buckets[-1]: calibrated logits [N], raw pooled embeddings [N, E], float32.

        Raises RunnerFailure where MAX fails or an answer is not finite, ValueError on another shape or dtype.
        """
        self._check(images)
        parts = [self._execute(images[at : at + self._most]) for at in range(0, len(images), self._most)]
        logits, embeddings = (np.concatenate(values) for values in zip(*parts, strict=True))
        if not (np.isfinite(logits).all() and np.isfinite(embeddings).all()):
            raise RunnerFailure("the model's answer is not finite")
        return RunnerOutput(logits, embeddings)

    def close(self) -> None:
        """Free the weights; nothing may follow."""
        vars(self).clear()

    def _tell_what_is_not_kept(self, wish: str, threads: int | None) -> None:
        own = self.precision
        if wish not in ("default", "auto", own.name):
            logger.warning("%s was asked for, but %s serves: %s", wish, own.name, own.reason)
        if threads and self._device == "cpu":
            logger.warning("MAX chooses the number of its threads itself; %d were asked for", threads)

    def _require_equal(self, net: StreetVisionNet) -> None:
        pictures = np.random.default_rng(0).integers(0, 256, self._shape(CHECKED), dtype=np.uint8)
        with torch.inference_mode():
            expected = net.forward_uint8(torch.from_numpy(pictures))[0].numpy()
        got, _ = self._session(pictures)
        apart = float(np.abs(sigmoids(expected) - sigmoids(got)).max())
        if not apart <= MAX_APART[self.precision.name]:  # NaN does not pass either
            raise RuntimeError(f"its probabilities are up to {apart:.4f} from those of timm's forward")

    def _warm_up(self, bucket: int) -> float:
        """Seconds of a warm run. Too little memory for a large batch is no failure: it runs in parts."""
        images = np.random.default_rng(bucket).integers(0, 256, self._shape(bucket), dtype=np.uint8)
        try:
            first = self._timed_run(images)
        except RunnerFailure as error:
            if bucket == self._buckets[0] or OUT_OF_MEMORY not in str(error).lower():
                raise
            self._most = max(size for size in self._buckets if size < bucket)
            logger.warning("there is no memory for batches of %d, so they run in parts", bucket)
            first = self._timed_run(images)
        runs = 0 if stands_back() else TIMED_RUNS  # beside serving each one costs others time
        return statistics.median([self._timed_run(images) for _ in range(runs)] or [first])

    def _timed_run(self, images: ImageArray) -> float:
        started = time.perf_counter()
        self.run(images)
        return time.perf_counter() - started

    def _execute(self, images: ImageArray) -> tuple[np.ndarray, np.ndarray]:
        try:
            return self._session(images)
        except (RuntimeError, MemoryError, ValueError) as error:  # MAX raises ValueError for some of its own failures
            raise RunnerFailure(f"the model failed on {self._device}: {first_line(error)}") from error

    def _shape(self, count: int) -> tuple[int, int, int, int]:
        return (count, self.input_size, self.input_size, 3)

    def _check(self, images: ImageArray) -> None:
        count = len(images)
        if images.dtype != np.uint8 or images.shape != self._shape(count) or not 1 <= count <= self._buckets[-1]:
            side, most = self.input_size, self._buckets[-1]
            raise ValueError(
                f"images must be uint8 [1..{most}, {side}, {side}, 3], not {images.dtype} {list(images.shape)}"
            )
