"""The model by Modular MAX (extra `max`), experimental: DINOv3 in float32 on a CPU, in bfloat16 on a GPU."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from streetvision.engine.types import ImageArray, RunnerFailure, RunnerOutput, ServedBy
from streetvision.models.network import StreetVisionNet, load
from streetvision.runner.bucketed import LibraryRunner
from streetvision.runner.devices import (
    CPU_BUCKETS,
    CUDA_BUCKETS,
    check_buckets,
    check_precision,
    first_line,
    resolve_device,
)
from streetvision.runner.max_session import MaxSession
from streetvision.runner.precision import MAX_MOVE, Precision, noise, require_alike

OWN = {"cpu": Precision("float32", "MAX on a CPU has no other"), "cuda": Precision("bf16", "it is a GPU's own")}
MAX_APART = {"float32": 1e-3, "bf16": MAX_MOVE}
"""Probability: how far it may be from timm's forward in float32, by precision."""

logger = logging.getLogger(__name__)


class MaxRunner(LibraryRunner):
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
        self.where = resolve_device(device).type
        sizes = check_buckets(buckets or (CUDA_BUCKETS if self.where == "cuda" else CPU_BUCKETS))
        self.precision = OWN[self.where]
        self._tell_what_is_not_kept(check_precision(precision), threads)
        model = load(folder)
        super().__init__(model.version, model.config, sizes)
        logger.info("MAX compiles %s, which takes minutes the first time", self.version)
        self._session = MaxSession(model.net, self.precision.name, self.where)
        self._require_equal(model.net)

    @property
    def served_by(self) -> ServedBy:
        """What computes, for logs, the status and a replay's record."""
        return ServedBy("max", self.where, self.precision.name, self.precision.reason)

    def run(self, images: ImageArray) -> RunnerOutput:
        """Run uint8 [N, H, W, 3], 1 <= N <= buckets[-1]: calibrated logits [N], raw pooled embeddings [N, E], float32.

        Raises RunnerFailure where MAX fails or an answer is not finite, ValueError on another shape or dtype.
        """
        if self._check(images) > self._most:
            return self._run_parts(images)
        return self._output(*self._execute(images))

    def _tell_what_is_not_kept(self, wish: str, threads: int | None) -> None:
        own = self.precision
        if wish not in ("default", "auto", own.name):
            logger.warning("%s was asked for, but %s serves: %s", wish, own.name, own.reason)
        if threads and self.where == "cpu":
            logger.warning("MAX chooses the number of its threads itself; %d were asked for", threads)

    def _require_equal(self, net: StreetVisionNet) -> None:
        pictures = noise(self.input_size)
        with torch.inference_mode():
            expected = net.forward_uint8(torch.from_numpy(pictures))[0].numpy()
        require_alike(expected, self._session(pictures)[0], MAX_APART[self.precision.name], "of timm's forward")

    def _execute(self, images: ImageArray) -> tuple[np.ndarray, np.ndarray]:
        try:
            return self._session(images)
        except (RuntimeError, MemoryError, ValueError) as error:  # MAX raises ValueError for some of its own failures
            raise RunnerFailure(f"the model failed on {self.where}: {first_line(error)}") from error
