"""What else serves a vision transformer on a CPU: ONNX Runtime and OpenVINO, of the same network (extra `bench`)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from streetvision.models.network import StreetVisionNet

Images = NDArray[np.uint8]
Answer = Callable[[Images], NDArray[np.float32]]
"""uint8 [N, S, S, 3] -> logits [N]."""
PACKAGES = ("onnx", "onnxruntime", "openvino", "nncf")
CALIBRATION = 32
"""Pictures for int8, drawn as those that ours is calibrated on."""


class Served(nn.Module):
    """What is exported: pixels in, calibrated logits out, as the miner serves it."""

    def __init__(self, net: StreetVisionNet) -> None:
        super().__init__()
        self._net = net

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [N]."""
        return self._net.forward_uint8(images)[0]


def missing() -> list[str]:
    """Packages that are not installed."""
    return [name for name in PACKAGES if find_spec(name) is None]


def rivals(
    net: StreetVisionNet, batch: int, threads: int, pictures: Images, folder: Path
) -> Iterator[tuple[str, str, Answer]]:
    """Engine, precision and answer of each, for batches of exactly `batch`; models are written into `folder`."""
    os.environ.setdefault("NNCF_CI", "1")  # it reports its use over the network otherwise
    path = folder / "float32.onnx"
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        example = torch.from_numpy(pictures[:batch].copy())
        torch.onnx.export(
            Served(net),
            (example,),
            path,
            dynamo=False,
            input_names=["images"],
            output_names=["logits"],
            opset_version=17,
        )
    given = [np.ascontiguousarray(pictures[at : at + batch]) for at in range(0, CALIBRATION, batch)]
    yield "ONNX Runtime", "float32", _onnxruntime(path, threads)
    yield "ONNX Runtime", "int8, dynamic", _onnxruntime(_dynamic(path, folder), threads)
    yield "ONNX Runtime", "int8, static", _onnxruntime(_static(path, folder, given), threads)
    yield from _openvino(path, threads, given)


def _onnxruntime(path: Path, threads: int) -> Answer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda images: np.asarray(session.run(None, {"images": images})[0])


def _dynamic(path: Path, folder: Path) -> Path:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    target, weights = folder / "dynamic.onnx", QuantType.QInt8
    quantize_dynamic(path, target, weight_type=weights, per_channel=True, **_products(path))
    return target


def _static(path: Path, folder: Path, given: list[Images]) -> Path:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # the package carries no types
        def __init__(self) -> None:
            self._left = iter(given)

        def get_next(self) -> dict[str, Images] | None:
            images = next(self._left, None)
            return None if images is None else {"images": images}

    target = folder / "static.onnx"
    quantize_static(
        path,
        target,
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        **_products(path),
    )
    return target


def _products(path: Path) -> dict[str, Any]:
    """The linear layers of the backbone, as ours; the head stays in float32."""
    import onnx

    nodes = onnx.load(path, load_external_data=False).graph.node
    head = [node.name for node in nodes if "/head/" in node.name]
    return {"op_types_to_quantize": ["MatMul", "Gemm"], "nodes_to_exclude": head}


def _openvino(path: Path, threads: int, given: list[Images]) -> Iterator[tuple[str, str, Answer]]:
    import nncf
    import openvino

    core = openvino.Core()
    model = core.read_model(path)

    def answer(source: Any, precision: str) -> Answer:  # noqa: ANN401  # the package's model
        wishes = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        compiled = core.compile_model(source, "CPU", wishes)
        return lambda images: np.asarray(compiled([images])[0])

    yield "OpenVINO", "float32", answer(model, "f32")
    yield "OpenVINO", "bf16", answer(model, "bf16")
    quantised = nncf.quantize(
        model,
        nncf.Dataset(given),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(given),
        # Its bias correction fails on this network ("iteration over a 0-d tensor").
        advanced_parameters=nncf.AdvancedQuantizationParameters(disable_bias_correction=True),
    )
    yield "OpenVINO", "int8", answer(quantised, "f32")
    yield "OpenVINO", "int8 and bf16", answer(quantised, "bf16")
