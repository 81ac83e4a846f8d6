"""What runners of a checkpoint share: its description, batch sizes, checks of what goes in and comes out. No torch."""

from __future__ import annotations

import logging
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streetvision.engine.background_priority import stands_back
from streetvision.engine.types import ImageArray, RunnerFailure, RunnerOutput
from streetvision.models.config import ModelConfig
from streetvision.runner.devices import check_buckets

TIMED_RUNS = 5

logger = logging.getLogger(__name__)


class BucketedRunner(ABC):
    """A checkpoint and its batch sizes. Never two calls at once."""

    def __init__(self, version: str, config: ModelConfig, buckets: tuple[int, ...]) -> None:
        self._version, self._config, self._buckets = version, config, buckets
        self._most = buckets[-1]  # larger batches run in parts, where memory is short

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
        """Batch sizes that are warmed up, ascending; they run without padding."""
        return self._buckets

    @abstractmethod
    def run(self, images: ImageArray) -> RunnerOutput:
        """Run uint8 [N, H, W, 3], 1 <= N <= buckets[-1]: calibrated logits [N], raw pooled embeddings [N, E], float32.

        Raises RunnerFailure where it fails or an answer is not finite, ValueError on another shape or dtype.
        """

    def _run_parts(self, images: ImageArray) -> RunnerOutput:
        parts = [self.run(images[at : at + self._most]) for at in range(0, len(images), self._most)]
        logits, embeddings = ([getattr(part, name) for part in parts] for name in ("logits", "embeddings"))
        return RunnerOutput(np.concatenate(logits), np.concatenate(embeddings))

    def _output(self, logits: NDArray[np.float32], embeddings: NDArray[np.float32]) -> RunnerOutput:
        if not (np.isfinite(logits).all() and np.isfinite(embeddings).all()):
            raise RunnerFailure("the model's answer is not finite")
        return RunnerOutput(logits, embeddings)

    def _noise(self, bucket: int) -> ImageArray:
        """Pictures to warm a bucket up with."""
        return np.random.default_rng(bucket).integers(0, 256, self._shape(bucket), dtype=np.uint8)

    def _shape(self, count: int) -> tuple[int, int, int, int]:
        return (count, self.input_size, self.input_size, 3)

    def _check(self, images: ImageArray) -> int:
        count = len(images)
        if images.dtype != np.uint8 or images.shape != self._shape(count) or not 1 <= count <= self._buckets[-1]:
            side, most = self.input_size, self._buckets[-1]
            raise ValueError(
                f"images must be uint8 [1..{most}, {side}, {side}, 3], not {images.dtype} {list(images.shape)}"
            )
        return count


class LibraryRunner(BucketedRunner):
    """One whose library has compiled the whole network, so that a bucket is ready once it ran."""

    out_of_memory: tuple[str, ...] = ("memory",)
    """Words in a failure for want of memory, in small letters."""
    where: str
    """What it computes on, in sentences."""

    def warmup(self, buckets: Sequence[int] | None = None) -> dict[int, float]:
        """Run and time each bucket (None: all); returns seconds of one warm run, by bucket. Raises RunnerFailure."""
        wanted = self._buckets if buckets is None else check_buckets(buckets) if len(buckets) else ()
        return {bucket: self._warm_up(bucket) for bucket in sorted(wanted, reverse=True)}

    def close(self) -> None:
        """Free the weights; nothing may follow."""
        vars(self).clear()

    def _warm_up(self, bucket: int) -> float:
        """Seconds of a warm run. Too little memory for a large batch is no failure: it runs in parts."""
        images = self._noise(bucket)
        try:
            first = self._timed_run(images)
        except RunnerFailure as error:
            if bucket == self._buckets[0] or not any(word in str(error).lower() for word in self.out_of_memory):
                raise
            self._most = max(size for size in self._buckets if size < bucket)
            logger.warning("%s has no memory for batches of %d, so they run in parts", self.where, bucket)
            first = self._timed_run(images)
        runs = 0 if stands_back() else TIMED_RUNS  # beside serving each one costs others time
        return statistics.median([self._timed_run(images) for _ in range(runs)] or [first])

    def _timed_run(self, images: ImageArray) -> float:
        started = time.perf_counter()
        self.run(images)
        return time.perf_counter() - started
