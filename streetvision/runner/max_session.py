"""One network compiled by Modular MAX for a device."""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np
import torch
from max._mlir_context import ensure_default_mlir_context
from max.driver import CPU, Accelerator, Buffer
from max.dtype import DType
from max.engine import InferenceSession
from max.graph import DeviceRef
from numpy.typing import NDArray

from streetvision.engine.types import ImageArray
from streetvision.models.network import StreetVisionNet
from streetvision.runner.max_graph import build_graph
from streetvision.runner.max_weights import missing_for_max, plan_of, weights_of

DTYPES = {"float32": (torch.float32, DType.float32), "bf16": (torch.bfloat16, DType.bfloat16)}

logger = logging.getLogger(__name__)


class MaxSession:
    """Answers batches of any size. Never two calls at once; any thread may call."""

    def __init__(self, net: StreetVisionNet, precision: str, device: str) -> None:
        """Compile it, or take from MAX's own cache what another network of the same shapes was compiled to.

        `precision` is one of DTYPES, `device` `cpu` or `cuda`. Raises RuntimeError, ValueError for another network.
        """
        problem = missing_for_max(net)
        if problem is not None:
            raise ValueError(problem)
        ours, theirs = DTYPES[precision]
        self._weights = weights_of(net, ours)  # MAX reads them where they are
        self._device: Any = Accelerator() if device == "cuda" else CPU()
        shapes = {name: tuple(weight.shape) for name, weight in self._weights.items()}
        started = time.perf_counter()
        with ensure_default_mlir_context():  # of MAX's own, and a thread's: models are opened in any
            graph = build_graph(plan_of(net), shapes, theirs, DeviceRef.from_device(self._device))
            # No number of threads: another than the process began with ends it.
            session = InferenceSession(devices=[self._device])
            self._model = session.init(session.compile(graph), weights_registry=self._weights)
        logger.info("MAX compiled the network, or took it from its cache, in %.1f s", time.perf_counter() - started)

    def __call__(self, images: ImageArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """uint8 [N, S, S, 3] -> logits [N], embeddings [N, E], copied; raises RuntimeError."""
        pictures = Buffer.from_numpy(np.array(images, order="C")).to(self._device)
        logits, embeddings = (np.array(answer.to(CPU()).to_numpy()) for answer in self._model.execute(pictures))
        return logits, embeddings
