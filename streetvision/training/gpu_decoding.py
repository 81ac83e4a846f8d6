"""JPEGs decoded and squashed on the GPU by nvJPEG, several times as fast as sixteen cores decode them.

Only plain JPEGs go there, whose headers were read and found within the limits. All others, and whatever nvJPEG refuses,
take the processor's way, which also says what is wrong with them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from streetvision.engine.header import Header
from streetvision.training.decoding import is_plain

MAX_PIXELS = 4_000_000
"""Larger ones stay with the processor, which decodes them at a fraction of their size."""
GROUP = 16
"""Pictures that lie on the GPU at their own size at a time."""


def can_decode(device: torch.device) -> bool:
    """Whether torchvision decodes JPEGs on that device."""
    if device.type != "cuda":
        return False
    try:
        from torchvision.io import decode_jpeg, encode_jpeg

        decode_jpeg(encode_jpeg(torch.zeros(3, 16, 16, dtype=torch.uint8)), device=device)
    except (ImportError, RuntimeError):
        return False
    return True


def suits(header: Header) -> bool:
    """Whether a picture may be decoded there."""
    return is_plain(header) and header.width * header.height <= MAX_PIXELS


def decode_into(images: torch.Tensor, rows: Sequence[int], jpegs: Sequence[bytes]) -> None:
    """Decode and squash `jpegs` into those rows of uint8 [N, C, C, 3] on a GPU, on the present stream.

    Raises RuntimeError when nvJPEG refuses one of them; any of the rows may have been written then.
    """
    from torchvision.io import ImageReadMode, decode_jpeg

    side = images.shape[1]
    encoded = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in jpegs]
    # The decoder has a stream of its own, which does not wait for what still reads the memory that it is given.
    torch.cuda.current_stream(images.device).synchronize()
    for row, pixels in zip(rows, decode_jpeg(encoded, ImageReadMode.RGB, device=images.device), strict=True):
        small = F.interpolate(pixels[None].float(), size=(side, side), mode="bilinear", antialias=True)
        images[row].copy_(small[0].round_().permute(1, 2, 0))
