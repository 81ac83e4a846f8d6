"""The tag that says where the works of a picture are, all of them: boxes as `left,top,right,bottom`, in shares."""

from __future__ import annotations

from collections.abc import Iterable

WORKS = "works"
"""The tag's name."""
Box = tuple[float, float, float, float]
"""left, top, right, bottom as shares of width and height."""


def works_text(boxes: Iterable[Box]) -> str:
    """The tag's value: one box after a semicolon."""
    return ";".join(",".join(f"{min(1.0, max(0.0, edge)):.4f}" for edge in box) for box in boxes)


def works_in(text: str) -> tuple[Box, ...]:
    """The boxes that a value names; none where it is not of that form."""
    try:
        boxes = [tuple(float(edge) for edge in part.split(",")) for part in text.split(";") if part.strip()]
    except ValueError:
        return ()
    sound = all(len(box) == 4 and 0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1 for box in boxes)
    return tuple((box[0], box[1], box[2], box[3]) for box in boxes) if sound else ()
