"""Decoded canvases on disk, so that only the first epoch decodes: one file of records of equal length.

A record is written and read whole, at a place of its own, and carries a checksum: what a crash or a full disk left
half-written, or another version of the picture, counts as absent. Several processes may share the file.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from streetvision.errors import reason
from streetvision.sources.dataset import Example
from streetvision.training.decoding import Canvas

_HEAD = struct.Struct("<4sIII16s")
"""Magic, CRC-32 of the pixels, true width and height, identity of the picture."""
_MAGIC = b"SVC1"
FREE_SHARE = 0.5
"""Of the free disk at most this much is taken: checkpoints need some too."""


class CanvasCache:
    """Canvases of `side` for some examples, by their position; those beyond `max_bytes` are not kept."""

    instant = False

    def __init__(self, folder: Path, examples: Sequence[Example], side: int, *, max_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._side = side
        self._length = _HEAD.size + 3 * side * side
        self._identities = [_identity(example) for example in examples]
        name = hashlib.sha256(b"".join(self._identities)).hexdigest()[:16]
        self.path = folder / f"canvases-{side}-{name}.bin"
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        room = int(shutil.disk_usage(folder).free * FREE_SHARE) + os.fstat(self._file).st_blocks * 512
        self.capacity = min(len(examples), min(max_bytes, room) // self._length)
        self.problem = ""
        """Why nothing more is kept, a clause; empty as long as all is well."""

    def __enter__(self) -> CanvasCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def has(self, index: int) -> bool:
        """Whether a canvas of that example was begun to be kept."""
        head = os.pread(self._file, _HEAD.size, index * self._length) if index < self.capacity else b""
        return len(head) == _HEAD.size and _HEAD.unpack(head)[4] == self._identities[index]

    def get(self, index: int) -> Canvas | None:
        """The canvas of that example, None where it is absent or damaged."""
        if index >= self.capacity:
            return None
        record = os.pread(self._file, self._length, index * self._length)
        if len(record) < self._length:
            return None
        magic, checksum, width, height, identity = _HEAD.unpack_from(record)
        pixels = memoryview(record)[_HEAD.size :]
        if magic != _MAGIC or identity != self._identities[index] or zlib.crc32(pixels) != checksum:
            return None
        return Canvas(np.frombuffer(pixels, np.uint8).reshape(self._side, self._side, 3), width, height)

    def put(self, index: int, canvas: Canvas) -> None:
        """Keep a canvas; a disk that takes no more ends the keeping, not the training."""
        if index >= self.capacity or self.problem:
            return
        pixels = canvas.pixels.tobytes()
        head = _HEAD.pack(_MAGIC, zlib.crc32(pixels), canvas.width, canvas.height, self._identities[index])
        try:
            os.pwrite(self._file, head + pixels, index * self._length)
        except OSError as error:
            self.problem = reason(error)

    def close(self) -> None:
        """Close the file; it stays for the next training on the same pictures."""
        os.close(self._file)


def _identity(example: Example) -> bytes:
    """16 bytes that change with the picture."""
    if example.sha256:
        return bytes.fromhex(example.sha256)[:16]
    try:
        found = example.path.stat()
        text = f"{example.path}\0{found.st_size}\0{found.st_mtime_ns}"
    except OSError:
        text = f"{example.path}\0absent"
    return hashlib.sha256(text.encode()).digest()[:16]
