"""The model on a CPU by OpenVINO (extra `openvino`): one class, one file a start where it was converted before.

Torch is needed to convert and to judge, not to serve: a model that is in the cache is opened without it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from streetvision.base.resources import usable_threads
from streetvision.engine.types import ImageArray, RunnerFailure, RunnerOutput, ServedBy
from streetvision.models.folder import is_bundled, read_config, require_described, require_servable, require_weights
from streetvision.models.versions import BUNDLED, hash_file
from streetvision.runner.bucketed import LibraryRunner
from streetvision.runner.devices import CPU_BUCKETS, check_buckets, check_precision, first_line
from streetvision.runner.openvino_cache import OpenVinoCache, openvino_cache
from streetvision.runner.openvino_session import Session, read
from streetvision.runner.precision import Precision, noise, require_alike
from streetvision.runner.question import EARLIER

MAX_APART = 1e-3
"""Probability: how far a kept model may be from what it answered when it was made."""

logger = logging.getLogger(__name__)


class OpenVinoRunner(LibraryRunner):
    """Runs a checkpoint in buckets, as TorchRunner does: a batch is padded to the next, and padding is cut off again.

    Never two calls at once.
    """

    out_of_memory = ("bad_alloc", "memory")
    where = "the CPU"

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
        config, self._wish = read_config(folder), check_precision(precision)
        version = BUNDLED if is_bundled(folder) else config.version
        super().__init__(version, config, check_buckets(buckets or CPU_BUCKETS))
        self._folder, self._pictures = folder, calibration
        self._threads = threads or usable_threads()
        self._warm: set[int] = set()
        cache = self._cache(kept)
        self.precision, self._session = self._again(cache) or self._made(cache)
        self._staging = np.zeros(self._shape(self._most), np.uint8)
        logger.info("OpenVINO serves %s in %s: %s", self.version, self.precision.name, self.precision.reason)

    @property
    def served_by(self) -> ServedBy:
        """What computes, for logs, the status and a replay's record."""
        return ServedBy("openvino", "cpu", self.precision.name, self.precision.reason, self._threads)

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
            raise RunnerFailure(f"the model failed on {self.where}: {first_line(error)}") from error

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
            earlier = np.asarray(entry.answers, np.float32)
            require_alike(
                earlier, session(noise(self.input_size))["logits"], MAX_APART, "that it gave when it was made"
            )
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
        require_servable(self._folder, self._config)
        require_described(self._folder, self._config, hash_file(require_weights(self._folder)))

    def _timed_run(self, images: ImageArray) -> float:
        self._warm.add(min(len(images), self._most))
        return super()._timed_run(images)

    def _execute(self, images: ImageArray, count: int, bucket: int) -> RunnerOutput:
        """Rows beyond `count` keep what an earlier batch left there: no image's answer depends on another's."""
        np.copyto(self._staging[:count], images)
        answers = self._session(self._staging[:bucket])
        return self._output(answers["logits"][:count], answers["embeddings"][:count])
