"""The serving forward on a CPU: timm's DINOv3 and SigLIP over products that oneDNN has packed, without torch.compile.

Torch multiplies float32 with MKL, which on other makers' processors leaves out their widest instructions; oneDNN uses
them, adds bias, GELU and the residual in its epilogue, and knows bfloat16 and int8. docs/cpu-figures.md has figures.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from streetvision_kernels.patchify import PATCH
from streetvision_kernels.swiglu_oracle import swiglu_oracle
from torch.nn import functional as F

from streetvision.models.network import StreetVisionNet
from streetvision.runner.cpu_weights import (
    LEVELS,
    ROUND,
    DenseProduct,
    Int8Product,
    Ranges,
    SmallBlock,
    SmallPool,
    pack_small,
)
from streetvision.runner.cuda_weights import Norm
from streetvision.runner.network_parts import unsupported_backbone
from streetvision.runner.parts import CENTRE, HEAD_DIM

MOST_SHARES = 1 << 25
"""Weights of a softmax in memory at once, 64 MiB: at 768 pixels a picture of a ViT-S has as many."""

Observer = Callable[[str, torch.Tensor], None]


def missing_for_small(net: StreetVisionNet) -> str | None:
    """Why the small forward cannot run this network here, as part of a sentence; None if it can."""
    if not torch._C._has_mkldnn or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return "this build of torch has no oneDNN"
    return unsupported_backbone(net)


def missing_for_bfloat16() -> str | None:
    """Which instructions bfloat16 lacks here, as part of a sentence; None if it lacks none."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", bool)()
    return None if supported else "the processor has no bfloat16 products (avx512_bf16)"


def missing_for_int8() -> str | None:
    """Which instructions int8 lacks here, as part of a sentence; without them its products may overflow."""
    if not getattr(torch.cpu, "_is_vnni_supported", bool)():
        return "the processor has no int8 products (avx512_vnni)"
    return None if hasattr(torch.ops.onednn, "qlinear_pointwise") else "this build of torch has no int8 products"


class SmallForward:
    """uint8 images to calibrated logits and embeddings, as `StreetVisionNet.forward_uint8`: float32, bfloat16 or int8.

    In int8 the attention is bfloat16 where the processor has it, and what is between products float32. Any thread may
    call it; `watch` only while no other does.
    """

    def __init__(
        self, net: StreetVisionNet, *, dtype: torch.dtype = torch.float32, ranges: Ranges | None = None
    ) -> None:
        """Pack the network's weights; `ranges` (see `watch`) ask for int8. Raises ValueError if it is unsupported."""
        self._weights = pack_small(net, torch.float32 if ranges is not None else dtype, ranges)
        quick = ranges is not None and missing_for_bfloat16() is None
        self._short = quick or dtype == torch.bfloat16
        self._head = copy.deepcopy(net.head).float().requires_grad_(False)
        self._calibration = {"scale": net.scale, "shift": net.shift}
        self._observer: Observer | None = None

    def watch(self, batches: Sequence[torch.Tensor]) -> tuple[torch.Tensor, Ranges]:
        """Logits of uint8 batches, and what every channel that enters a product spans (for an int8 forward)."""
        seen: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

        def keep(name: str, rows: torch.Tensor) -> None:
            low, high = rows.aminmax(dim=0)
            before = seen.get(name, (low, high))
            seen[name] = (torch.minimum(low, before[0]), torch.maximum(high, before[1]))

        self._observer = keep
        try:
            logits = torch.cat([self(batch)[0] for batch in batches])
        finally:
            self._observer = None
        return logits, seen

    def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """uint8 [N, H, W, 3] -> calibrated logits [N] and raw pooled embeddings [N, E], float32."""
        weights, count = self._weights, len(images)
        prefix, tokens = len(weights.prefix), weights.tokens
        if (images.shape[1] // PATCH) ** 2 + prefix != tokens:
            raise ValueError(f"images must be [N, S, S, 3] of {tokens} tokens, not {tuple(images.shape)}")
        x = self._embed(images)
        for index, block in enumerate(weights.blocks):
            x = self._block(x, block, index)
        normed = _normalise(x.float(), weights.norm).view(count, tokens, -1)
        if weights.pool is not None:
            normed = torch.cat((_pooled(normed, weights.pool)[:, None], normed), dim=1)
        logits, pooled = self._head(normed, **self._calibration)
        return logits, pooled

    def _embed(self, images: torch.Tensor) -> torch.Tensor:
        """Tokens [N * T, D]: CLS, registers, patches, with the positions that are added to them."""
        weights, count, grid = self._weights, len(images), images.shape[1] // PATCH
        cut = images.view(count, grid, PATCH, grid, PATCH, 3).permute(0, 1, 3, 2, 4, 5)
        rows = cut.reshape(count * grid**2, -1).to(weights.dtype).sub_(CENTRE)
        patches = weights.patches(rows).view(count, grid**2, -1)
        if len(weights.prefix):
            patches = torch.cat((weights.prefix.expand(count, -1, -1), patches), dim=1)
        if weights.positions is not None:
            patches += weights.positions
        return patches.flatten(0, 1)

    def _block(self, x: torch.Tensor, block: SmallBlock, index: int) -> torch.Tensor:
        """The residual stream [N * T, D] after one block."""
        rows = self._enter(_normalise(x, block.norm1), block.qkv, f"{index}.qkv")
        heads = self._attend(block.qkv(rows))
        if isinstance(block.proj, Int8Product):
            heads = heads.float().add_(block.proj.zero + ROUND)
        x = block.proj.onto(self._enter(heads, block.proj, f"{index}.proj"), x)
        rows = self._enter(_normalise(x, block.norm2), block.fc1, f"{index}.fc1")
        if block.gated:
            return block.fc2.onto(self._enter(_gated(block.fc1(rows), block.fc2), block.fc2, f"{index}.fc2"), x)
        if isinstance(block.fc1, Int8Product) and isinstance(block.fc2, Int8Product):
            return block.fc2.onto(block.fc1.gelu(rows, block.fc2), x)
        hidden = block.fc1.gelu(rows)  # type: ignore[call-arg]  # both or neither are int8
        return block.fc2.onto(self._enter(hidden, block.fc2, f"{index}.fc2"), x)

    def _enter(self, rows: torch.Tensor, product: object, name: str) -> torch.Tensor:
        """Rows as the product takes them."""
        if self._observer is not None:
            self._observer(name, rows)
        return rows.clamp_(0, LEVELS + ROUND).to(torch.uint8) if isinstance(product, Int8Product) else rows

    def _attend(self, qkv: torch.Tensor) -> torch.Tensor:
        """Self-attention, rotated where positions are, [N * T, 3 D] -> [N * T, D]."""
        weights = self._weights
        parts = qkv.view(-1, weights.tokens, 3, qkv.shape[1] // (3 * HEAD_DIM), HEAD_DIM)
        turned = parts[:, :, :2]
        if weights.turns is not None:
            turned = turned.float()  # in place where it is float32 already
            torch.view_as_complex(turned.view(*turned.shape[:2], -1, HEAD_DIM // 2, 2)).mul_(weights.turns)
        if not self._short:
            query, key, value = parts.permute(2, 0, 3, 1, 4)
            return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(len(qkv), -1)
        query, key = turned.bfloat16().permute(2, 0, 3, 1, 4)
        value = parts[:, :, 2].bfloat16().transpose(1, 2)
        images = max(1, MOST_SHARES // (query.shape[1] * weights.tokens**2))
        split = zip(*(part.split(images) for part in (query, key, value)), strict=True)
        return torch.cat([_short_attention(*some) for some in split]).transpose(1, 2).reshape(len(qkv), -1)


def _pooled(normed: torch.Tensor, pool: SmallPool) -> torch.Tensor:
    """Attention pooling with its MLP, float32 [N, T, D] -> [N, D]."""
    shares = torch.matmul(normed, pool.queries).softmax(dim=1)
    seen = torch.matmul(shares.transpose(1, 2), normed)
    heads = torch.matmul(seen.transpose(0, 1), pool.values).transpose(0, 1).flatten(1)
    x = pool.proj(heads)
    return pool.fc2.onto(pool.fc1.gelu(_normalise(x, pool.norm)), x)


def _short_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Torch's fused attention does not multiply in bfloat16 here; two products with a softmax between them do."""
    shares = torch.matmul(query, key.transpose(-1, -2)).mul_(HEAD_DIM**-0.5).softmax(dim=-1)
    return torch.matmul(shares, value)


def _normalise(x: torch.Tensor, norm: Norm) -> torch.Tensor:
    return F.layer_norm(x, x.shape[-1:], norm.gain, norm.offset, norm.eps)


def _gated(rows: torch.Tensor, follows: DenseProduct | Int8Product) -> torch.Tensor:
    """SwiGLU [M, 2H] -> [M, H], in the units that `follows` takes."""
    hidden: torch.Tensor = swiglu_oracle(rows)
    return hidden.div_(follows.scale).add_(follows.zero + ROUND) if isinstance(follows, Int8Product) else hidden
