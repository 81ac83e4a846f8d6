"""A network as an OpenVINO model: traced from torch, and rounded to int8 where a gate allows it.

Traced by OpenVINO's own reader of torch, so any architecture and head that torch runs is served. Rounding follows
OpenVINO's scheme of FakeQuantize operations, which its CPU plugin turns into int8 products: weights per output channel,
symmetric, with regard to rows that enter on pictures of their own (`round_weights`); what enters a product by one range
for the whole tensor, after its channels were made alike at the expense of the weights (SmoothQuant, Xiao et al., 2023).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from openvino import opset13
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import nn

from streetvision.models.network import StreetVisionNet
from streetvision.runner.weight_rounding import round_weights

Model = Any
"""openvino.Model, whose package carries no types."""
LEVELS = 256
TINY = 1e-5
"""Below it a channel counts as empty."""
TRACED = 2
"""Pictures that the network is traced with; the model takes any number."""
HEAD = "/net.head/"
"""In the names of the head's products, which stay in float32: rounded, they alone moved answers by 0.24."""
MODULES = "__module"


class Seen(NamedTuple):
    """What enters a product on some pictures."""

    low: NDArray[np.float32]
    """By channel [K], the lowest value: the mean over batches, as one outlier would make every step coarser."""
    high: NDArray[np.float32]
    rows: NDArray[np.float32]
    """[R, K]: of a few tokens of each picture."""


@dataclass(frozen=True, slots=True)
class Rounding:
    """Which products of the backbone's blocks are int8."""

    words: str
    share: float
    """Of the difference between channels, how much their weights take over: 0 to 1."""
    kept: tuple[str, ...] = ()
    """Parts of names of layers that keep the higher precision."""


INTO_THE_RESIDUAL = (".fc2", ".output.dense", ".proj")
ROUNDINGS = (
    Rounding("all products of the blocks are int8", 0.5),
    Rounding("the products that follow a LayerNorm are int8", 0.65, INTO_THE_RESIDUAL),
)
"""Tried in this order, the quickest first. What follows GELU or attention has outliers that one range does not hold."""
TOKENS = 16
"""Of each picture, spread evenly over it, whose rows are kept."""


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
    """The same model with what `seen_in` reads as further outputs."""
    copy = model.clone()
    results = []
    for name, product, _ in _products(copy):
        rows = product.input_value(0)
        axes = np.arange(len(rows.get_partial_shape()) - 1, dtype=np.int64)
        told = {
            "low": opset13.reduce_min(rows, axes, keep_dims=False),
            "high": opset13.reduce_max(rows, axes, keep_dims=False),
            "rows": opset13.gather(rows, _spread_tokens(rows), np.int64(1)),
        }
        for what, operation in told.items():
            result = opset13.result(operation)
            result.output(0).get_tensor().set_names({f"{name}.{what}"})
            results.append(result)
    copy.add_results(results)
    return copy


def _spread_tokens(rows: Any) -> Any:  # noqa: ANN401  # the package carries no types
    """Indices [TOKENS] of tokens; how many there are is known only as the graph runs."""
    length = opset13.gather(opset13.shape_of(rows), np.int64(1), np.int64(0))
    numbers = opset13.constant(np.arange(TOKENS, dtype=np.int64))
    return opset13.divide(opset13.multiply(numbers, length), opset13.constant(np.int64(TOKENS)))


def seen_in(outputs: Sequence[dict[str, NDArray[np.float32]]]) -> dict[str, Seen]:
    """What a watched model saw over several batches, by the name of the product that it enters."""
    names = {name.rpartition(".")[0] for name in outputs[0] if name.endswith(".rows")}

    def mean(name: str) -> NDArray[np.float32]:
        made: NDArray[np.float32] = np.mean([output[name] for output in outputs], axis=0, dtype=np.float32)
        return made

    def rows(name: str) -> NDArray[np.float32]:
        return np.concatenate([output[name].reshape(-1, output[name].shape[-1]) for output in outputs])

    return {name: Seen(mean(f"{name}.low"), mean(f"{name}.high"), rows(f"{name}.rows")) for name in names}


def smoothing(seen: Seen, weight: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """What each channel [K] is divided by before it is rounded, and its weights [N, K] multiplied: 1 in the mean.

    With a share of 0.5 both sides bear half of what the channel spans beyond its weights.
    """
    across = np.maximum(np.maximum(-seen.low, seen.high), TINY)
    within = np.maximum(np.abs(weight).max(axis=0), TINY)
    factors = across**share / within ** (1.0 - share)
    made: NDArray[np.float32] = (factors / np.exp(np.log(factors).mean())).astype(np.float32)
    return made


def rounded(model: Model, seen: dict[str, Seen], rounding: Rounding) -> Model:
    """The model with int8 products; raises LookupError where `seen` is of another model."""
    copy = model.clone()
    for name, product, weight in _products(copy):
        if any(part in name for part in rounding.kept):
            continue
        entered = seen[name]
        factors = smoothing(entered, weight, rounding.share)
        low, high = (entered.low / factors).min(), (entered.high / factors).max()
        alike = opset13.multiply(product.input_value(0), opset13.constant(1.0 / factors)).output(0)
        made, most = round_weights(weight * factors, entered.rows / factors)
        product.input(0).replace_source_output(_fake_int8(alike, low, high))
        product.input(1).replace_source_output(_fake_int8(opset13.constant(made).output(0), -most, most, LEVELS - 1))
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
