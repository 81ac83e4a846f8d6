"""A network as an OpenVINO model: traced from torch, and rounded to int8 where a gate allows it.

Traced by OpenVINO's own reader of torch, so any architecture and head that torch runs is served. Rounding follows
OpenVINO's scheme of FakeQuantize operations, which its CPU plugin turns into int8 products: weights per output channel,
symmetric; what enters a product by one range for the whole tensor.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from openvino import opset13
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import nn

from streetvision.models.network import StreetVisionNet

Model = Any
"""openvino.Model, whose package carries no types."""
Span = tuple[float, float]
"""Lowest and highest value, the mean over batches: a single outlier would make every step coarser."""
LEVELS = 256
TRACED = 2
"""Pictures that the network is traced with; the model takes any number."""
HEAD = "/net.head/"
"""In the names of the head's products, which stay in float32: rounded, they alone moved answers by 0.24."""
MODULES = "__module"


@dataclass(frozen=True, slots=True)
class Rounding:
    """Which products of the backbone's blocks are int8."""

    words: str
    kept: tuple[str, ...] = ()
    """Parts of names of layers that keep the higher precision."""


ROUNDINGS = (
    Rounding("all products of the blocks are int8"),
    Rounding("each MLP's second product keeps its precision", (".fc2", ".output.dense")),
)
"""Tried in this order, the quickest first: what follows GELU has outliers that one range does not hold."""


class _Served(nn.Module):
    """Pixels in, calibrated logits and embeddings out, as the miner serves it."""

    def __init__(self, net: StreetVisionNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """uint8 [N, H, W, 3] -> logits [N], embeddings [N, E]."""
        return self.net.forward_uint8(images)


def convert(net: StreetVisionNet) -> Model:
    """uint8 [N, S, S, 3] -> `logits` [N] and `embeddings` [N, E], any N; RuntimeError for what it cannot read."""
    size = net.input_size
    example = torch.zeros((TRACED, size, size, 3), dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # what torch says of tracing
        decoder = TorchScriptPythonDecoder(_Served(net), example_input=(example,))
        reader = FrontEndManager().load_by_framework("pytorch")
        model = reader.convert(reader.load(decoder))
    model.reshape({model.inputs[0]: openvino.PartialShape([-1, size, size, 3])})
    for output, name in zip(model.outputs, ("logits", "embeddings"), strict=True):
        output.get_tensor().set_names({name})
    return model


def watched(model: Model) -> Model:
    """The same model with the lowest and highest value of all that enters the blocks' products as further outputs."""
    copy = model.clone()
    results = []
    for name, product, _ in _products(copy):
        rows = product.input_value(0)
        axes = np.arange(len(rows.get_partial_shape()), dtype=np.int64)
        for end, reduce in (("low", opset13.reduce_min), ("high", opset13.reduce_max)):
            result = opset13.result(reduce(rows, axes, keep_dims=False))
            result.output(0).get_tensor().set_names({f"{name}.{end}"})
            results.append(result)
    copy.add_results(results)
    return copy


def spans_in(outputs: Sequence[dict[str, NDArray[np.float32]]]) -> dict[str, Span]:
    """What a watched model saw over several batches, by the name of the product that it enters."""
    names = {name.rpartition(".")[0] for name in outputs[0] if name.endswith((".low", ".high"))}
    return {
        name: (
            fmean(float(seen[f"{name}.low"]) for seen in outputs),
            fmean(float(seen[f"{name}.high"]) for seen in outputs),
        )
        for name in names
    }


def rounded(model: Model, spans: dict[str, Span], rounding: Rounding) -> Model:
    """The model with int8 products; raises LookupError where `spans` are another model's."""
    copy = model.clone()
    for name, product, weight in _products(copy):
        if any(part in name for part in rounding.kept):
            continue
        low, high = spans[name]
        product.input(0).replace_source_output(_fake_int8(product.input_value(0), np.float32(low), np.float32(high)))
        most = np.maximum(np.abs(weight).max(axis=1, keepdims=True), 1e-12).astype(np.float32)
        product.input(1).replace_source_output(_fake_int8(product.input_value(1), -most, most, LEVELS - 1))
    copy.validate_nodes_and_infer_types()
    return copy


def _fake_int8(
    source: Any,  # noqa: ANN401  # the package carries no types
    low: NDArray[np.float32] | np.float32,
    high: NDArray[np.float32] | np.float32,
    levels: int = LEVELS,
) -> Any:  # noqa: ANN401
    ends = [np.asarray(end, np.float32) for end in (low, high, low, high)]
    return opset13.fake_quantize(source, *ends, levels).output(0)


def _products(model: Model) -> Iterator[tuple[str, Any, NDArray[np.float32]]]:
    """Name, operation and weight [N, K] of each product with weights in the blocks."""
    for operation in model.get_ordered_ops():
        name = operation.get_friendly_name()
        if operation.get_type_name() != "MatMul" or HEAD in name or not name.startswith(MODULES):
            continue
        weight = _weight(operation)
        if weight is not None:
            yield name, operation, weight


def _weight(product: Any) -> NDArray[np.float32] | None:  # noqa: ANN401  # the package carries no types
    """The constant [N, K] that a product multiplies by, None where it has none."""
    node = product.input_value(1).get_node()
    if node.get_type_name() != "Constant" or len(node.get_output_shape(0)) != 2:
        return None
    return np.asarray(node.data)
