"""One model compiled by OpenVINO for this CPU; needs no torch."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streetvision.engine.types import ImageArray

Answers = dict[str, NDArray[np.float32]]


@cache
def _core() -> Any:  # noqa: ANN401  # the package carries no types
    import openvino

    return openvino.Core()


def has_bfloat16() -> bool:
    """Whether the processor multiplies in bfloat16."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def read(graph: str) -> Any:  # noqa: ANN401  # the package carries no types
    """An openvino.Model from its file; raises RuntimeError for one that is none."""
    return _core().read_model(graph)


def hint(precision: str) -> str:
    """What is not rounded to int8 computes in, under the precision of that name."""
    return "f32" if precision == "float32" or not has_bfloat16() else "bf16"


class Session:
    """Answers batches of any size on a fixed number of threads. Never two calls at once; any thread may call."""

    def __init__(self, model: Any, precision: str, threads: int) -> None:  # noqa: ANN401
        """Compile it for a precision of PRECISIONS or `float32`; raises RuntimeError."""
        compiled = _core().compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": hint(precision),
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                "ENABLE_CPU_PINNING": False,  # other processes share the cores, and a quota moves with none of them
            },
        )
        self._names = [tuple(output.names) for output in compiled.outputs]  # one tensor may be known by several
        self._request = compiled.create_infer_request()

    def __call__(self, images: ImageArray) -> Answers:
        """uint8 [N, S, S, 3] -> its outputs by name, copied; raises RuntimeError."""
        results = self._request.infer([np.ascontiguousarray(images)], share_inputs=False)
        values = [np.array(value) for value in results.values()]
        return {name: value for names, value in zip(self._names, values, strict=True) for name in names}
