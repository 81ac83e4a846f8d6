"""DINOv3 with one of our heads as a graph for Modular MAX: uint8 pictures in, logits and embeddings out.

Products compute in the graph's dtype, norms and the CPU's softmax in float32. Weights are bound after compiling, by
name, so that a further version of a model costs no compilation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from max.dtype import DType
from max.graph import DeviceRef, Graph, TensorType, Weight, ops
from max.nn.attention import MHAMaskVariant
from max.nn.kernels import flash_attention_gpu
from streetvision_kernels.patchify import PATCH

from streetvision.runner.max_weights import Plan
from streetvision.runner.parts import CENTRE, HEAD_DIM

Tensor = Any
"""max.graph.TensorValue, which overloads Python's operators."""
Shapes = Mapping[str, tuple[int, ...]]
"""Of the weights, by name."""


def build_graph(plan: Plan, shapes: Shapes, dtype: DType, device: DeviceRef) -> Graph:
    """uint8 [N, S, S, 3] -> logits [N], embeddings [N, E], float32, any N."""
    with Graph("dinov3", input_types=[TensorType(DType.uint8, ["N", plan.size, plan.size, 3], device)]) as graph:
        graph.output(*_Network(graph, plan, shapes, dtype, device).forward(graph.inputs[0].tensor))
    return graph


class _Network:
    """The operations of one network, in the graph that is being built."""

    def __init__(self, graph: Graph, plan: Plan, shapes: Shapes, dtype: DType, device: DeviceRef) -> None:
        self._graph, self._plan, self._shapes, self._dtype, self._device = graph, plan, shapes, dtype, device
        turns = (1, plan.tokens, 1, HEAD_DIM // 2)
        self._turns = [ops.reshape(self._weight(name, exact=True), turns) for name in ("cos", "sin")]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures to logits [N] and embeddings [N, E]."""
        x = self._embed(images)
        for index in range(self._plan.blocks):
            name = f"block{index}"
            x += self._linear(self._attend(self._linear(self._norm(x, f"{name}.norm1"), f"{name}.qkv")), f"{name}.proj")
            hidden = self._activate(self._linear(self._norm(x, f"{name}.norm2"), f"{name}.fc1"))
            x += self._linear(hidden, f"{name}.fc2")
        return self._head(self._norm(x.cast(DType.float32), "norm"))

    def _weight(self, name: str, *, exact: bool = False) -> Tensor:
        """`exact`: float32, whatever products compute in."""
        dtype = DType.float32 if exact else self._dtype
        return self._graph.add_weight(Weight(name, dtype, self._shapes[name], self._device))

    def _linear(self, x: Tensor, name: str, *, exact: bool = False) -> Tensor:
        weight, bias = (self._weight(f"{name}.{part}", exact=exact) for part in ("weight", "bias"))
        return ops.matmul(x, ops.transpose(weight, 0, 1)) + bias

    def _norm(self, x: Tensor, name: str, eps: float | None = None) -> Tensor:
        gain, offset = (self._weight(f"{name}.{part}", exact=True) for part in ("gain", "offset"))
        wide = x.cast(DType.float32)
        return ops.layer_norm(wide, gain, offset, self._plan.norm_eps if eps is None else eps).cast(x.dtype)

    def _embed(self, images: Tensor) -> Tensor:
        """Tokens [N, T, D]: CLS, registers, patches."""
        count, grid = images.shape[0], self._plan.size // PATCH
        centred = images.cast(DType.float32) - CENTRE
        cut = ops.permute(ops.reshape(centred, (count, grid, PATCH, grid, PATCH, 3)), [0, 1, 3, 2, 4, 5])
        rows = ops.reshape(cut, (count, grid * grid, PATCH * PATCH * 3)).cast(self._dtype)
        prefix = ops.broadcast_to(self._weight("prefix"), (count, self._plan.prefix, self._plan.width))
        return ops.concat((prefix, self._linear(rows, "patches")), axis=1)

    def _attend(self, qkv: Tensor) -> Tensor:
        """Self-attention of rotated queries and keys, [N, T, 3 D] -> [N, T, D]."""
        plan = self._plan
        heads = (qkv.shape[0], plan.tokens, plan.width // HEAD_DIM, HEAD_DIM)
        query, key, value = (ops.reshape(part, heads) for part in ops.chunk(qkv, 3, axis=2))
        query, key = self._turned(query), self._turned(key)
        if self._device.is_gpu():
            seen = flash_attention_gpu(query, key, value, MHAMaskVariant.NULL_MASK, scale=HEAD_DIM**-0.5)
        else:  # that kernel has no form for CPUs
            query, key, value = (ops.permute(part, [0, 2, 1, 3]) for part in (query, key, value))
            shares = ops.softmax(ops.matmul(query, ops.transpose(key, 2, 3)) * HEAD_DIM**-0.5)
            seen = ops.permute(ops.matmul(shares, value), [0, 2, 1, 3])
        return ops.reshape(seen, (qkv.shape[0], plan.tokens, plan.width))

    def _turned(self, x: Tensor) -> Tensor:
        """Rotary positions: channel i turns with channel i + 32."""
        (first, second), (cos, sin) = ops.chunk(x.cast(DType.float32), 2, axis=3), self._turns
        return ops.concat((first * cos - second * sin, second * cos + first * sin), axis=3).cast(self._dtype)

    def _activate(self, hidden: Tensor) -> Tensor:
        if not self._plan.gated:
            return ops.gelu(hidden, "tanh" if self._plan.tanh else "none")
        gates, values = ops.chunk(hidden, 2, axis=2)
        return ops.silu(gates) * values

    def _head(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Calibrated logits [N] and pooled embeddings [N, E] of float32 tokens [N, T, D]."""
        plan, count = self._plan, tokens.shape[0]
        prefix, patches = ops.split(tokens, (plan.prefix, plan.tokens - plan.prefix), axis=1)
        pooled = [prefix[:, 0], ops.reshape(ops.mean(patches, axis=1), (count, plan.width))]
        if plan.attends:
            scores = ops.matmul(patches, ops.transpose(self._weight("score", exact=True), 0, 1))
            shares = ops.softmax(ops.reshape(scores, (count, 1, plan.tokens - plan.prefix)))
            pooled.append(ops.reshape(ops.matmul(shares, patches), (count, plan.width)))
        embeddings = ops.concat(pooled, axis=1)
        logits = self._linear(self._norm(embeddings, "head", plan.head_eps), "fc", exact=True)
        return ops.reshape(logits, (count,)), embeddings
