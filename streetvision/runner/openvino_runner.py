"""The model on a CPU by OpenVINO (extra `openvino`): one class, one file a start where it was converted before.

Torch is needed to convert and to judge, not to serve: a model that is in the cache is opened without it.
"""

from __future__ import annotations

import hashlib
import logging
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from streetvision.base.resources import usable_threads
from streetvision.engine.background_priority import stands_back
from streetvision.engine.types import ImageArray, RunnerFailure, RunnerOutput, ServedBy
from streetvision.models.checks import CheckpointError
from streetvision.models.config import ModelConfig
from streetvision.models.folder import BUNDLED_FOLDER, WEIGHTS_FILE, read_config
from streetvision.models.logits import sigmoids
from streetvision.models.versions import BUNDLED
from streetvision.runner.devices import CPU_BUCKETS, check_buckets, check_precision, first_line
from streetvision.runner.openvino_cache import Entry, OpenVinoCache, openvino_cache
from streetvision.runner.openvino_session import Session, noise, read
from streetvision.runner.precision import Precision
from streetvision.runner.question import EARLIER

MAX_APART = 1e-3
"""Probability: how far a kept model may be from what it answered when it was made."""
TIMED_RUNS = 5
OUT_OF_MEMORY = ("bad_alloc", "memory")

logger = logging.getLogger(__name__)


class OpenVinoRunner:
    """Runs a checkpoint in buckets, as TorchRunner does: a batch is padded to the next, and padding is cut off again.

    Never two calls at once.
    """

    def __init__(
        self,
        folder: Path,
        *,
        buckets: Sequence[int] | None = None,
        threads: int | None = None,
        precision: str = "default",
        calibration: Callable[[], ImageArray] | None = None,
        kept: Path | None = None,
    ) -> None:
        """Open it from the folder `kept`, or convert and judge it, which takes seconds to minutes.

        The options are TorchRunner's, `kept` being the folder of converted models. Raises CheckpointError, ConfigError,
        and RuntimeError where OpenVINO cannot serve the network.
        """
        self._config, self._wish = read_config(folder), check_precision(precision)
        self._folder, self._pictures = folder, calibration
        self._threads = threads or usable_threads()
        self._buckets = check_buckets(buckets or CPU_BUCKETS)
        self._most = self._buckets[-1]
        self._warm: set[int] = set()
        cache = self._cache(kept)
        self.precision, self._session = self._again(cache) or self._made(cache)
        self._staging = np.zeros(self._shape(self._most), np.uint8)
        logger.info("OpenVINO serves %s in %s: %s", self.version, self.precision.name, self.precision.reason)

    @property
    def version(self) -> str:
        """Version of the checkpoint; `bundled` for the one of the package, as everywhere else."""
        return BUNDLED if self._folder.resolve() == BUNDLED_FOLDER else self._config.version

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
        """Batch sizes that run without padding, ascending."""
        return self._buckets

    @property
    def served_by(self) -> ServedBy:
        """What computes, for logs, the status and a replay's record."""
        return ServedBy("openvino", "cpu", self.precision.name, self.precision.reason, self._threads)

    def warmup(self, buckets: Sequence[int] | None = None) -> dict[int, float]:
        """Run and time each bucket (None: all); returns seconds of one warm run, by bucket. Raises RunnerFailure."""
        wanted = self._buckets if buckets is None else check_buckets(buckets) if len(buckets) else ()
        return {bucket: self._warm_up(bucket) for bucket in sorted(wanted, reverse=True)}

    def run(self, images: ImageArray) -> RunnerOutput:
        """Run uint8 [N, H, W, 3], 1 <= N <= buckets[-1]: calibrated logits [N], raw pooled embeddings [N, E], float32.

        Raises RunnerFailure where OpenVINO fails or an answer is not finite, ValueError on another shape or dtype.
        """
        count = self._check(images)
        bucket = next(size for size in self._buckets if size >= count)
        if bucket > self._most:
            return self._run_parts(images)
        if bucket not in self._warm:
            logger.warning("bucket %d was not warmed up; preparing it while a request waits", bucket)
            self._warm.add(bucket)
        try:
            return self._execute(images, count, bucket)
        except (RuntimeError, MemoryError) as error:
            raise RunnerFailure(f"the model failed on the CPU: {first_line(error)}") from error

    def close(self) -> None:
        """Free the weights; nothing may follow."""
        vars(self).clear()

    def _cache(self, kept: Path | None) -> OpenVinoCache | None:
        """None where an entry would not hold for the next start: pictures or weights without a name."""
        if kept is None or self._pictures is not None or not self._config.sha256:
            return None
        return openvino_cache(kept, asdict(self._config), self._wish)

    def _again(self, cache: OpenVinoCache | None) -> tuple[Precision, Session] | None:
        """What an earlier start made, if it still answers as it did there."""
        entry = None if cache is None else cache.recall()
        if entry is None:
            return None
        self._require_same_weights()
        try:
            session = Session(read(str(entry.graph)), entry.precision.name, self._threads)
            self._require_same_answers(session, entry)
        except RuntimeError as error:
            logger.warning("the converted model of an earlier start cannot serve (%s); it is made anew", error)
            return None
        told = entry.precision
        return Precision(told.name, told.reason + ("" if self._wish == "default" else EARLIER)), session

    def _made(self, cache: OpenVinoCache | None) -> tuple[Precision, Session]:
        from streetvision.runner.openvino_choice import make  # brings torch

        made = make(self._folder, self._wish, self._threads, self._pictures)
        session = Session(made.model, made.precision.name, self._threads)
        if cache is not None:
            answers = session(noise(self.input_size))["logits"]
            cache.remember(made.model, made.precision, tuple(map(float, answers)))
        return made.precision, session

    def _require_same_weights(self) -> None:
        """As `load` does: CheckpointError for a model that may not serve, or other weights than it names."""
        if self._config.why_not_servable is not None:
            raise CheckpointError(f"The model in {self._folder} may not serve: {self._config.why_not_servable}.")
        path = self._folder / WEIGHTS_FILE
        if not path.is_file():
            raise CheckpointError(f"{self._folder} has no {WEIGHTS_FILE}.")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != self._config.sha256:
            raise CheckpointError(
                f"{path} has sha256 {digest[:12]}… but its description names {self._config.sha256[:12]}…: the files do "
                "not belong together or are damaged; fetch the checkpoint again."
            )

    def _require_same_answers(self, session: Session, entry: Entry) -> None:
        got = session(noise(self.input_size))["logits"]
        apart = float(np.abs(sigmoids(got) - sigmoids(np.asarray(entry.answers, np.float32))).max())
        if not apart <= MAX_APART:  # NaN does not pass either
            raise RuntimeError(f"its probabilities are up to {apart:.4f} from those that it gave when it was made")

    def _warm_up(self, bucket: int) -> float:
        """Seconds of a warm run. Too little memory for a large batch is no failure: it runs in parts."""
        images = np.random.default_rng(bucket).integers(0, 256, self._shape(bucket), dtype=np.uint8)
        self._warm.add(bucket)
        try:
            first = self._timed_run(images)
        except RunnerFailure as error:
            if bucket == self._buckets[0] or not any(word in str(error).lower() for word in OUT_OF_MEMORY):
                raise
            self._most = max(size for size in self._buckets if size < bucket)
            logger.warning("the CPU has no memory for batches of %d, so they run in parts", bucket)
            self._warm.add(self._most)
            first = self._timed_run(images)
        runs = 0 if stands_back() else TIMED_RUNS  # beside serving each one costs others time
        return statistics.median([self._timed_run(images) for _ in range(runs)] or [first])

    def _timed_run(self, images: ImageArray) -> float:
        started = time.perf_counter()
        self.run(images)
        return time.perf_counter() - started

    def _run_parts(self, images: ImageArray) -> RunnerOutput:
        parts = [self.run(images[at : at + self._most]) for at in range(0, len(images), self._most)]
        logits, embeddings = ([getattr(part, name) for part in parts] for name in ("logits", "embeddings"))
        return RunnerOutput(np.concatenate(logits), np.concatenate(embeddings))

    def _execute(self, images: ImageArray, count: int, bucket: int) -> RunnerOutput:
        """Rows beyond `count` keep what an earlier batch left there: no image's answer depends on another's."""
        np.copyto(self._staging[:count], images)
        answers = self._session(self._staging[:bucket])
        logits, embeddings = (answers[name][:count] for name in ("logits", "embeddings"))
        if not (np.isfinite(logits).all() and np.isfinite(embeddings).all()):
            raise RunnerFailure("the model's answer is not finite")
        return RunnerOutput(logits, embeddings)

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
