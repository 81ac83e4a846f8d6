"""What the views of a model ask of one picture: regions of it, squares of pixels, and the passes over them.

Pure geometry, in fractions of the upright picture, known before a pixel is decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from streetvision.models.views import PLAIN, Flip, View

ResizeRule = Literal["squash", "crop"]
"""`squash`: the whole picture becomes the square. `crop`: the central square of the short side."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in fractions of the upright picture."""

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Frame:
    """A square of pixels cut from a picture. Looks that differ in their flip alone share one."""

    size: int
    """Side of the square."""
    box: Box
    """What it shows."""
    inner: int
    """Side of what it shows within the square; mirrored edges fill the border."""
    resample: str = "bicubic"
    """Filter that scales it, by Pillow's name in lower case."""


@dataclass(frozen=True, slots=True)
class Look:
    """One array to make: a frame, flipped."""

    frame: Frame
    flip: Flip = ""


@dataclass(frozen=True, slots=True)
class Eye:
    """How one member of an ensemble takes its input, and what its logit weighs."""

    size: int
    rule: ResizeRule
    weight: float = 1.0
    resample: str = "bicubic"


@dataclass(frozen=True, slots=True)
class ViewPass:
    """One member over one look."""

    member: int
    look: Look
    weight: float


def resize_rule(name: str) -> ResizeRule:
    """The rule of that name, as a checkpoint's json gives it; raises ValueError for any other."""
    if name not in get_args(ResizeRule):
        raise ValueError(f"unknown resize rule {name!r}: use one of {', '.join(get_args(ResizeRule))}")
    return cast(ResizeRule, name)


def plain_look(width: int, height: int, eye: Eye) -> Look:
    """The look without views: the whole picture or its central square."""
    box = WHOLE if eye.rule == "squash" else _square(width, height, 1.0)
    return Look(Frame(eye.size, box, eye.size, eye.resample))


def plan_passes(eyes: Sequence[Eye], views: Sequence[View], width: int, height: int) -> tuple[ViewPass, ...]:
    """All passes over a picture of that upright size, in the order in which they are worth running.

    Every member sees a view before any sees the next: members differ more than views do. So the first pass is the plain
    one of the first member. Tiles share the weight of their view; where a tile would have to be enlarged, the picture
    is too small for them and the view is left out.
    """
    passes = []
    for view in views:
        for member, eye in enumerate(eyes):
            looks = looks_of(view, width, height, eye)
            passes += [ViewPass(member, look, eye.weight / len(looks)) for look in looks]
    return tuple(passes)


def weighted_mean(logits: Sequence[float], passes: Sequence[ViewPass]) -> float:
    """Of the logits of these passes."""
    return sum(one.weight * logit for one, logit in zip(passes, logits, strict=True)) / sum(
        one.weight for one in passes
    )


def member_means(logits: Sequence[float], passes: Sequence[ViewPass]) -> tuple[float, ...]:
    """The weighted mean over the passes of each member, in the order in which members come first."""
    means = []
    for member in dict.fromkeys(one.member for one in passes):
        own = [(logit, one) for logit, one in zip(logits, passes, strict=True) if one.member == member]
        means.append(weighted_mean([logit for logit, _ in own], [one for _, one in own]))
    return tuple(means)


def looks_of(view: View, width: int, height: int, eye: Eye) -> tuple[Look, ...]:
    """The squares that a view asks for: one, a grid of tiles, or none where the picture is too small for tiles."""
    if view.tiled:
        boxes = _tiles(view, width, height, eye.rule)
        if not all(_is_large(box, width, height, eye.size) for box in boxes):
            return ()
        return tuple(Look(Frame(eye.size, box, eye.size, eye.resample), view.flip) for box in boxes)
    if view == PLAIN:
        return (plain_look(width, height, eye),)
    box = _centre(view.crop, view.crop) if eye.rule == "squash" else _square(width, height, view.crop)
    return (Look(Frame(eye.size, box, round(eye.size * view.scale), eye.resample), view.flip),)


def _centre(across: float, down: float) -> Box:
    left, top = (1.0 - across) / 2, (1.0 - down) / 2
    return left, top, left + across, top + down


def _square(width: int, height: int, share: float) -> Box:
    """The central square of the short side, or its central part."""
    side = min(width, height) * share
    return _centre(side / width, side / height)


def _tiles(view: View, width: int, height: int, rule: ResizeRule) -> tuple[Box, ...]:
    """Boxes of the grid, row by row. For a model that knows no squashed pictures each is widened to a square."""
    across, down = _spans(view.columns, view.overlap), _spans(view.rows, view.overlap)
    boxes = tuple((left, top, right, bottom) for top, bottom in down for left, right in across)
    return boxes if rule == "squash" else tuple(_widened(box, width, height) for box in boxes)


def _spans(count: int, overlap: float) -> list[tuple[float, float]]:
    """Equal spans that cover 0 to 1, each overlapping the next by that share of itself."""
    length = 1.0 / (count - (count - 1) * overlap)
    starts = [index * length * (1.0 - overlap) for index in range(count)]
    return [(start, min(1.0, start + length)) for start in starts]


def _widened(box: Box, width: int, height: int) -> Box:
    """A square around the box, moved and cut to lie within the picture."""
    left, top, right, bottom = box
    side = min(max((right - left) * width, (bottom - top) * height), width, height)
    across, down = side / width, side / height
    x = min(max((left + right - across) / 2, 0.0), 1.0 - across)
    y = min(max((top + bottom - down) / 2, 0.0), 1.0 - down)
    return x, y, x + across, y + down


def _is_large(box: Box, width: int, height: int, size: int) -> bool:
    left, top, right, bottom = box
    return min((right - left) * width, (bottom - top) * height) >= size
