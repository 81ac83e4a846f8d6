"""Frames between the miner and its bridge: lengths, a head of JSON values, a block of bytes."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Mapping
from typing import Any

LENGTHS = struct.Struct("<II")
FRAME_LIMIT = 2**22
"""Bytes that a reader keeps before it holds the writer up."""
LONGEST_HEAD, LONGEST_BLOCK = 2**20, 2**28


async def read_frame(reader: asyncio.StreamReader) -> tuple[dict[str, Any], bytes]:
    """The next frame; raises EOFError at the end, ValueError for what is no frame."""
    head_length, block_length = LENGTHS.unpack(await reader.readexactly(LENGTHS.size))
    if head_length > LONGEST_HEAD or block_length > LONGEST_BLOCK:
        raise ValueError("the frame is too long")
    head = json.loads(await reader.readexactly(head_length))
    if not isinstance(head, dict):
        raise ValueError("the frame has no head")
    return head, await reader.readexactly(block_length)


def write_frame(writer: asyncio.StreamWriter, head: Mapping[str, Any], block: bytes | memoryview = b"") -> None:
    """Hand a frame to the socket; `drain` is the caller's."""
    text = json.dumps(head).encode()
    writer.write(LENGTHS.pack(len(text), len(block)) + text)
    writer.write(block)
