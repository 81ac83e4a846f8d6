"""A batch and its answer as one head of JSON values and one block of bytes: what travels to a backend and back.

No pickle: what comes from another machine is checked field by field.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

import numpy as np

from streetvision.engine.transport import (
    ModelPin,
    RemoteAnswer,
    RemoteBatch,
    RemoteFailure,
    RemoteTrouble,
)

PROTOCOL = 1
"""Raised when a field changes its meaning; both sides must have the same."""
MOST_PICTURES, LARGEST_SIDE, WIDEST = 1024, 2048, 65_536
MESSAGE_LENGTH = 300

Head = Mapping[str, Any]
Block = bytes | bytearray | memoryview


def batch_parts(batch: RemoteBatch) -> tuple[dict[str, Any], memoryview]:
    """The head, and the pictures' bytes, which are not copied where they lie together."""
    head = {
        "protocol": PROTOCOL,
        "model": [batch.model.version, batch.model.fingerprint],
        "shape": list(batch.images.shape),
        "seconds": list(batch.seconds),
        "priorities": list(batch.priorities),
        "keys": list(batch.keys),
    }
    return head, np.ascontiguousarray(batch.images).data.cast("B")


def batch_of(head: Head, block: Block) -> RemoteBatch:
    """The batch again, its pictures without a copy; raises RemoteFailure for what is none."""
    _require_protocol(head)
    try:
        shape, model = head["shape"], ModelPin(*map(_text, head["model"]))
        n, side = int(shape[0]), int(shape[1])
        rows = {name: tuple(map(float, head[name])) for name in ("seconds", "priorities")}
        keys = tuple(map(_text, head["keys"]))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise RemoteFailure(RemoteTrouble.SKEW, f"no batch that this release knows ({error!r:.100})") from None
    bounded = 1 <= n <= MOST_PICTURES and 1 <= side <= LARGEST_SIDE and list(shape) == [n, side, side, 3]
    full = {len(rows["seconds"]), len(rows["priorities"]), len(keys)} == {n}
    if not (bounded and full and len(block) == 3 * n * side * side and all(map(isfinite, rows["priorities"]))):
        raise RemoteFailure(RemoteTrouble.SKEW, f"no batch that this release knows (shape {shape!r:.60})")
    images = np.frombuffer(block, np.uint8).reshape(n, side, side, 3)
    return RemoteBatch(model, images, rows["seconds"], rows["priorities"], keys)


def answer_parts(answer: RemoteAnswer) -> tuple[dict[str, Any], bytes]:
    """The head, and logits and embeddings as little-endian float32."""
    n, width = answer.embeddings.shape
    head = {
        "protocol": PROTOCOL,
        "model": [answer.model.version, answer.model.fingerprint],
        "shape": [n, width],
        "inference": answer.inference,
        "waited": answer.waited,
        "replica": answer.replica,
        "refused": list(answer.refused),
    }
    return head, answer.logits.astype("<f4").tobytes() + answer.embeddings.astype("<f4").tobytes()


def failure_head(failure: RemoteFailure) -> dict[str, Any]:
    """What is told in an answer's place."""
    return {"protocol": PROTOCOL, "trouble": failure.trouble.value, "message": str(failure)[:MESSAGE_LENGTH]}


def answer_of(head: Head, block: Block) -> RemoteAnswer:
    """The answer again; raises RemoteFailure for a failure that is told, and for what is no answer."""
    _require_protocol(head)
    if "trouble" in head:
        raise _told(head)
    try:
        n, width = map(int, head["shape"])
        model = ModelPin(*map(_text, head["model"]))
        inference, waited = float(head["inference"]), float(head["waited"])
        replica, refused = _text(head["replica"]), tuple(map(int, head["refused"]))
    except (KeyError, TypeError, ValueError) as error:
        raise RemoteFailure(RemoteTrouble.SKEW, f"no answer that this release knows ({error!r:.100})") from None
    bounded = 1 <= n <= MOST_PICTURES and 1 <= width <= WIDEST and isfinite(inference) and isfinite(waited)
    if not bounded or len(block) != 4 * n * (1 + width):
        raise RemoteFailure(RemoteTrouble.INVALID, f"an answer of {len(block)} bytes for shape {head['shape']!r:.60}")
    numbers = np.frombuffer(block, "<f4").astype(np.float32)
    return RemoteAnswer(model, numbers[:n], numbers[n:].reshape(n, width), inference, waited, replica, refused)


def _require_protocol(head: Head) -> None:
    if head.get("protocol") != PROTOCOL:
        other = head.get("protocol")
        raise RemoteFailure(RemoteTrouble.SKEW, f"the other side speaks protocol {other!r:.20}, this one {PROTOCOL}")


def _told(head: Head) -> RemoteFailure:
    message = str(head.get("message", ""))[:MESSAGE_LENGTH]
    words = "".join(letter if letter.isprintable() else "�" for letter in message)
    try:
        return RemoteFailure(RemoteTrouble(head["trouble"]), words)
    except ValueError:
        return RemoteFailure(RemoteTrouble.SKEW, f"a trouble that this release does not know: {words}")


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MESSAGE_LENGTH:
        raise ValueError("no short text")
    return value
