"""A network packed for the CPU: products as oneDNN takes them in float32, bfloat16 or int8, all folding done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from streetvision.models.network import StreetVisionNet
from streetvision.runner.cuda_weights import Norm
from streetvision.runner.mlp_weights import is_gated, is_tanh, mlp_weights
from streetvision.runner.network_parts import parts_of
from streetvision.runner.parts import HEAD_DIM, BlockParts, PoolParts, folded, folded_patches

LEVELS = 255
ROUND = 0.5
"""Added beforehand, so that cutting to uint8 rounds."""

Ranges = Mapping[str, tuple[torch.Tensor, torch.Tensor]]
"""Lowest and highest value [K] seen of each channel that enters a product, by `layer.product`."""

_dense: Any = torch.ops.mkldnn._linear_pointwise
_int8: Any = torch.ops.onednn.qlinear_pointwise


class DenseProduct:
    """One linear layer in float32 or bfloat16, its weight laid out once as oneDNN reads it."""

    def __init__(
        self, weight: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype, *, tanh: bool = False
    ) -> None:
        """`tanh`: the network's own GELU has that form."""
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.to(dtype).contiguous())
        self._bias = None if bias is None else bias.to(dtype).contiguous()
        # The tanh form differs by 5e-4 at most, which bfloat16 does not show; float32 keeps the network's own.
        self._form = "none" if dtype == torch.float32 and not tanh else "tanh"

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """[M, K] -> [M, N]."""
        answer: torch.Tensor = _dense(rows, self._weight, self._bias, "none", [], "")
        return answer

    def gelu(self, rows: torch.Tensor) -> torch.Tensor:
        """With GELU in the product's epilogue."""
        answer: torch.Tensor = _dense(rows, self._weight, self._bias, "gelu", [], self._form)
        return answer

    def onto(self, rows: torch.Tensor, stream: torch.Tensor) -> torch.Tensor:
        """Added to the residual stream [M, N] in the epilogue; the stream itself may or may not be written to."""
        answer: torch.Tensor = _dense.binary(rows, stream, self._weight, self._bias, "add")
        return answer


class Int8Product:
    """One linear layer over uint8 rows of one scale, with int8 weights of a scale for each output."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, low: float, high: float) -> None:
        """`weight` [N, K] in float64; `low` <= 0 <= `high` is what its input spans."""
        self.scale = max((high - low) / LEVELS, 1e-12)
        self.zero = min(LEVELS, max(0, round(-low / self.scale)))
        steps = weight.abs().amax(dim=1).clamp_min(1e-12) / 127
        self._steps = steps.float()
        self._weight = torch.ops.onednn.qlinear_prepack((weight / steps[:, None]).round().to(torch.int8), None)
        self._zeros = torch.zeros(len(weight), dtype=torch.int64)
        self._bias = None if bias is None else bias.float().contiguous()

    @property
    def _operands(self) -> tuple[Any, ...]:
        return self.scale, self.zero, self._weight, self._steps, self._zeros

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """uint8 [M, K] -> float32 [M, N]."""
        answer: torch.Tensor = _int8(rows, *self._operands, self._bias, 1.0, 0, torch.float32, "none", [], "")
        return answer

    def gelu(self, rows: torch.Tensor, follows: Int8Product) -> torch.Tensor:
        """uint8 [M, N] as `follows` takes it, GELU and rounding in the epilogue."""
        scale, zero = follows.scale, follows.zero
        answer: torch.Tensor = _int8(rows, *self._operands, self._bias, scale, zero, torch.uint8, "gelu", [], "tanh")
        return answer

    def onto(self, rows: torch.Tensor, stream: torch.Tensor) -> torch.Tensor:
        """Added to the float32 residual stream [M, N], in place."""
        form: tuple[Any, ...] = (1.0, 0, torch.float32, 1.0, 0, "sum", 1.0, "none", [], "")
        answer: torch.Tensor = _int8.binary(rows, *self._operands, stream, self._bias, *form)
        return answer


@dataclass(frozen=True)
class SmallBlock:
    """A transformer block; layer scale is folded into `proj` and `fc2`, scales of int8 into the norms and values."""

    norm1: Norm
    qkv: DenseProduct | Int8Product
    proj: DenseProduct | Int8Product
    norm2: Norm
    fc1: DenseProduct | Int8Product
    fc2: DenseProduct | Int8Product
    gated: bool
    """`fc1` gives gates and values of SwiGLU, rather than what enters GELU."""


@dataclass(frozen=True)
class SmallPool:
    """Attention pooling by one learned query; see `PoolParts`."""

    queries: torch.Tensor
    """[D, H] float32."""
    values: torch.Tensor
    """[H, D, 64] float32."""
    proj: DenseProduct
    norm: Norm
    fc1: DenseProduct
    fc2: DenseProduct


@dataclass(frozen=True)
class SmallWeights:
    """Everything that the small forward multiplies by."""

    patches: DenseProduct
    prefix: torch.Tensor
    """CLS and registers [P, D]."""
    positions: torch.Tensor | None
    """Added to the embedded tokens [T, D]; None where positions are rotations."""
    turns: torch.Tensor | None
    """Rotary positions [T, 1, 32], complex64; 1 for prefix tokens, which are not turned. None where nothing is."""
    blocks: tuple[SmallBlock, ...]
    norm: Norm
    pool: SmallPool | None
    tokens: int
    dtype: torch.dtype
    """Of patches and, unless in int8, of all products and of the residual stream."""


def pack_small(net: StreetVisionNet, dtype: torch.dtype, ranges: Ranges | None = None) -> SmallWeights:
    """Take the network apart, in `dtype`; with `ranges` the blocks' products are int8 (and `dtype` is float32).

    Raises ValueError for a network that is unsupported. The network itself is not changed.
    """
    parts = parts_of(net)
    turns = None if parts.rotation is None else _turns(*parts.rotation)
    blocks = tuple(
        _dense_block(block, dtype, turns is not None)
        if ranges is None
        else _int8_block(block, str(index), ranges, turns is not None)
        for index, block in enumerate(parts.blocks)
    )
    return SmallWeights(
        patches=DenseProduct(*folded_patches(parts.patches, net.mean, net.std), dtype),
        prefix=parts.prefix.to(dtype),
        positions=None if parts.positions is None else parts.positions.to(dtype),
        turns=turns,
        blocks=blocks,
        norm=_norm(parts.norm, torch.float32),
        pool=None if parts.pool is None else _pool(parts.pool),
        tokens=parts.tokens,
        dtype=dtype,
    )


def _turns(sin: torch.Tensor, cos: torch.Tensor) -> torch.Tensor:
    return torch.complex(cos, sin)[:, None].contiguous()


def _pool(pool: PoolParts) -> SmallPool:
    """Always in float32: one picture's vector makes the products behind it cheap."""
    mlp, tanh = mlp_weights(pool.mlp), is_tanh(pool.mlp)
    return SmallPool(
        queries=pool.queries.T.float().contiguous(),
        values=pool.values.view(len(pool.queries), HEAD_DIM, -1).transpose(1, 2).float().contiguous(),
        proj=DenseProduct(*pool.proj, torch.float32),
        norm=_norm(pool.norm, torch.float32),
        fc1=DenseProduct(*folded(*mlp.fc1), torch.float32, tanh=tanh),
        fc2=DenseProduct(*folded(*mlp.fc2), torch.float32),
    )


Parts = dict[str, tuple[torch.Tensor, torch.Tensor | None]]


def _parts(block: BlockParts, *, turned: bool) -> Parts:
    """Weights and biases in float64, layer scale folded in, the channels that turn together side by side."""
    mlp = mlp_weights(block.mlp)
    weight, bias = block.qkv
    if turned:
        order = _paired(weight.shape[1])
        weight, bias = weight[order], None if bias is None else bias[order]
    return {
        "qkv": folded(weight, bias),
        "proj": folded(*block.proj, block.gamma1),
        "fc1": folded(*mlp.fc1),
        "fc2": folded(*mlp.fc2, block.gamma2),
    }


def _paired(width: int) -> torch.Tensor:
    """Rows of qkv such that channels i and i + 32 of a query's or key's head, which turn together, are neighbours."""
    half = HEAD_DIM // 2
    pairs = torch.arange(width).view(-1, 2, half).transpose(1, 2).reshape(-1)
    return torch.cat((pairs, pairs + width, torch.arange(2 * width, 3 * width)))


def _dense_block(block: BlockParts, dtype: torch.dtype, turned: bool) -> SmallBlock:
    tanh = is_tanh(block.mlp)
    parts = _parts(block, turned=turned)
    products = {name: DenseProduct(weight, bias, dtype, tanh=tanh) for name, (weight, bias) in parts.items()}
    return SmallBlock(
        norm1=_norm(block.norm1, dtype), norm2=_norm(block.norm2, dtype), gated=is_gated(block.mlp), **products
    )


def _int8_block(block: BlockParts, index: str, ranges: Ranges, turned: bool) -> SmallBlock:
    parts = _parts(block, turned=turned)
    smooth = {name: _smoothing(parts[name][0], *ranges[f"{index}.{name}"]) for name in ("qkv", "proj", "fc1")}
    products = {
        name: _int8_product(weight * smooth[name], bias, ranges[f"{index}.{name}"], smooth[name])
        for name, (weight, bias) in parts.items()
        if name in ("proj", "fc1")
    }
    products["fc2"] = _int8_product(*parts["fc2"], ranges[f"{index}.fc2"], None)
    # The values come out of the attention in the units that `proj` takes.
    weight, bias = parts["qkv"]
    width = weight.shape[1]
    values = torch.cat((torch.ones(2 * width), 1.0 / (smooth["proj"] * products["proj"].scale)))
    weight, bias = weight * smooth["qkv"] * values[:, None], None if bias is None else bias * values
    products["qkv"] = _int8_product(weight, bias, ranges[f"{index}.qkv"], smooth["qkv"])
    return SmallBlock(
        norm1=_into(block.norm1, products["qkv"], smooth["qkv"]),
        norm2=_into(block.norm2, products["fc1"], smooth["fc1"]),
        **products,
        gated=is_gated(block.mlp),
    )


def _smoothing(weight: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Factor [K] that a channel's input is divided and its weights multiplied by: the difficulty is shared."""
    inputs = torch.maximum(low.abs(), high.abs()).double().clamp_min(1e-6)
    return (inputs / weight.abs().amax(dim=0).clamp_min(1e-9)).sqrt()


def _int8_product(
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    seen: tuple[torch.Tensor, torch.Tensor],
    smoothing: torch.Tensor | None,
) -> Int8Product:
    low, high = (side.double() if smoothing is None else side / smoothing for side in seen)
    return Int8Product(weight, bias, min(0.0, float(low.min())), max(0.0, float(high.max())))


def _into(norm: torch.nn.LayerNorm, product: Int8Product, smoothing: torch.Tensor) -> Norm:
    """A norm whose answer, cut to uint8, is what the product takes."""
    gain = norm.weight.detach().double() / (smoothing * product.scale)
    offset = norm.bias.detach().double() / (smoothing * product.scale) + product.zero + ROUND
    return Norm(gain.float(), offset.float(), norm.eps)


def _norm(norm: torch.nn.LayerNorm, dtype: torch.dtype) -> Norm:
    gain, offset = (p.detach().to(dtype).contiguous() for p in (norm.weight, norm.bias))
    return Norm(gain, offset, norm.eps)
