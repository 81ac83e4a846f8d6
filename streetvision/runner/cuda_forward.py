"""The serving forward on CUDA: timm's DINOv3 and SigLIP computed by cuBLASLt and Triton, without torch.compile.

Seven launches a block: LayerNorm, qkv product, attention with the rotary positions in it, projection onto the residual
stream, LayerNorm, first MLP product with GELU in its epilogue, second onto the residual stream. SwiGLU takes one more,
and so do the rotary positions of many tokens; the attention pooling of SigLIP takes seven at the end. An image's answer
has the same bits in any batch; docs/kernels.md says why. The numbers differ from timm's by
rounding and by GELU's tanh form (at most 5e-4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from streetvision_kernels.attention import attention
from streetvision_kernels.cublaslt import CublasLt
from streetvision_kernels.latent_pool import latent_pool
from streetvision_kernels.layer_norm import layer_norm
from streetvision_kernels.patchify import PATCH, patchify
from streetvision_kernels.swiglu import swiglu

from streetvision.models.network import StreetVisionNet
from streetvision.runner.cuda_head import FusedHead, VectorHead
from streetvision.runner.cuda_weights import Block, Norm, Peaks, Pool, Product, pack, unsupported

MAX_BATCH = 1024

Observer = Callable[[str, torch.Tensor], None]


def missing_for_fast(net: StreetVisionNet, device: torch.device) -> str | None:
    """Why the fast forward cannot run this network there, as part of a sentence; None if it can."""
    if device.type != "cuda":
        return "it needs a CUDA device"
    if torch.version.hip is not None or torch.cuda.get_device_capability(device) < (8, 0):
        return "the GPU is older than NVIDIA's Ampere"
    return unsupported(net)


def has_float8(device: torch.device) -> bool:
    """Whether the device multiplies float8 (Ada, Hopper and later)."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 9)


class FastForward:
    """uint8 images to calibrated logits and embeddings, as `StreetVisionNet.forward_uint8`, in bfloat16 or float8.

    Belongs to one stream at a time: its workspace and counters serve one batch. Can be captured in a CUDA graph after
    one call with the same batch size.
    """

    def __init__(self, net: StreetVisionNet, device: torch.device, *, peaks: Peaks | None = None) -> None:
        """Pack the network's weights; `peaks` (see `observe`) asks for float8.

        Raises ValueError for a network that cannot be packed, RuntimeError when cuBLASLt cannot be used.
        """
        self._weights = pack(net, device, peaks)
        self._device = device
        self._products = CublasLt(device)
        self._hopper = torch.cuda.get_device_capability(device) >= (9, 0)
        self._judge = self._judging(net)
        self._observer: Observer | None = None

    @property
    def float8(self) -> bool:
        """Whether qkv and MLP products run in float8."""
        return self._weights.float8

    def observe(self, batches: Sequence[torch.Tensor]) -> dict[str, float]:
        """Run uint8 batches and return the largest magnitude of what enters each product, for a float8 forward."""
        peaks: dict[str, torch.Tensor] = {}

        def keep(name: str, value: torch.Tensor) -> None:
            top = value.abs().max().float()
            peaks[name] = torch.maximum(peaks[name], top) if name in peaks else top

        self._observer = keep
        try:
            for batch in batches:
                self(batch)
        finally:
            self._observer = None
        return {name: float(top) for name, top in peaks.items()}

    def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """uint8 [N, H, W, 3] on the device -> calibrated logits [N] and raw pooled embeddings [N, E], float32."""
        weights, count = self._weights, images.shape[0]
        tokens = weights.tokens
        if not 1 <= count <= MAX_BATCH or (images.shape[1] // PATCH) ** 2 + weights.prefix != tokens:
            raise ValueError(f"images must be [1..{MAX_BATCH}, S, S, 3] of {tokens} tokens, not {tuple(images.shape)}")
        rows = self._new(count * tokens, weights.patches.shape[1])
        x, added = self._new(count * tokens, weights.width), weights.positions
        places = {} if added is None else {"positions": added, "stream": x}
        patchify(images, rows, prefix=weights.prefix, pdl=self._hopper, **places)
        self._products.matmul(rows, weights.patches, x, add=added is not None)
        for index, block in enumerate(weights.blocks):
            self._block(x, block, index)
        return self._judge(x, count)

    def _judging(self, net: StreetVisionNet) -> Callable[[torch.Tensor, int], tuple[torch.Tensor, torch.Tensor]]:
        """From the residual stream [N * T, D] of N images to logits and embeddings."""
        weights, pool = self._weights, self._weights.pool
        if pool is None:
            head = FusedHead(net, self._device, most=MAX_BATCH, pdl=self._hopper)
            return lambda x, count: head(x, weights, images=count)
        last = VectorHead(net, self._device, pdl=self._hopper)
        return lambda x, count: last(self._pool(x, pool, count))

    def _pool(self, x: torch.Tensor, pool: Pool, count: int) -> torch.Tensor:
        """Attention pooling with its MLP, [N * T, D] -> [N, D]; on the way there are rows without a picture."""
        norm = self._weights.norm
        vectors = (norm.gain, norm.offset), pool.queries, pool.values
        heads = latent_pool(x, *vectors, images=count, eps=norm.eps, pdl=self._hopper)
        pooled, normed = torch.empty_like(heads), torch.empty_like(heads)
        self._multiply(heads, pool.proj, pooled)
        layer_norm(pooled, pool.norm.gain, pool.norm.offset, normed, eps=pool.norm.eps, pdl=self._hopper)
        hidden = self._new(len(heads), pool.fc2.matrix.shape[1])
        self._multiply(normed, pool.fc1, hidden, gelu=True)
        self._multiply(hidden, pool.fc2, pooled, add=True)
        return pooled[:count]

    def _block(self, x: torch.Tensor, block: Block, index: int) -> None:
        """Add one block's two branches to the residual stream `x` in place."""
        rows, width = x.shape
        normed = self._normalise(x, block.norm1, block.qkv, f"{index}.qkv")
        qkv = self._new(rows, 3 * width)
        self._multiply(normed, block.qkv, qkv)
        heads = self._attend(qkv, block.proj)
        if self._observer is not None:
            self._observer(f"{index}.proj", heads)
        self._multiply(heads, block.proj, x, add=True)
        normed = self._normalise(x, block.norm2, block.fc1, f"{index}.fc1")
        hidden = self._hidden(normed, block)
        if self._observer is not None:
            self._observer(f"{index}.fc2", hidden)
        self._multiply(hidden, block.fc2, x, add=True)

    def _hidden(self, normed: torch.Tensor, block: Block) -> torch.Tensor:
        """What enters the second MLP product, [N * T, H]."""
        rows, channels = len(normed), block.fc2.matrix.shape[1]
        hidden = self._new(rows, channels, like=block.fc2)
        if block.gated:
            both = self._new(rows, 2 * channels)
            self._multiply(normed, block.fc1, both)
            swiglu(both, hidden, inverse8=block.fc2.inverse8, pdl=self._hopper)
        else:
            self._multiply(normed, block.fc1, hidden, gelu=True)
        return hidden

    def _normalise(self, x: torch.Tensor, norm: Norm, product: Product, name: str) -> torch.Tensor:
        out = self._new(x.shape[0], x.shape[1], like=product)
        layer_norm(x, norm.gain, norm.offset, out, eps=norm.eps, inverse8=product.inverse8, pdl=self._hopper)
        if self._observer is not None:
            self._observer(name, out)
        return out

    def _multiply(
        self, a: torch.Tensor, product: Product, out: torch.Tensor, *, gelu: bool = False, add: bool = False
    ) -> None:
        self._products.matmul(a, product.matrix, out, bias=product.bias, gelu=gelu, add=add, scales=product.scales)

    def _attend(self, qkv: torch.Tensor, product: Product) -> torch.Tensor:
        """Self-attention for `product`, rotated where positions are, [N * T, 3 D] -> [N * T, D]."""
        weights = self._weights
        out = self._new(len(qkv), weights.width, like=product)
        turns, scale = (weights.cos, weights.sin), product.inverse8
        attention(qkv, *turns, out, tokens=weights.tokens, inverse8=scale, pdl=self._hopper)
        return out

    def _new(self, rows: int, columns: int, like: Product | None = None) -> torch.Tensor:
        """Memory in the dtype of that product's matrix, bfloat16 otherwise."""
        dtype = torch.bfloat16 if like is None else like.matrix.dtype
        return torch.empty((rows, columns), dtype=dtype, device=self._device)
