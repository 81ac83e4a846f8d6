"""Rays meet shapes where geometry says."""

from __future__ import annotations

import numpy as np
import pytest

from streetvision.scenes.sprites.build import ball, bar, board, box, placed, standing
from streetvision.scenes.sprites.camera import Frame, View
from streetvision.scenes.sprites.shapes import Array, Hit, Shape
from streetvision.scenes.sprites.surface import bands, linear, plain, stripes

GREY = plain((128, 128, 128))
WHITE = plain((255, 255, 255))
EYE = np.array([[0.0], [1.0], [10.0]], np.float32)
AHEAD = np.array([[0.0], [0.0], [-1.0]], np.float32)
ASIDE = np.array([[1.0], [0.0], [0.0]], np.float32)


def straight(shape: Shape, direction: Array = AHEAD) -> Hit:
    """The hit of one ray from the eye."""
    return shape.meet(EYE, direction)


@pytest.mark.parametrize(
    ("shape", "distance"),
    [
        (ball(GREY, (0, 1, 0), 2.0), 8.0),
        (ball(GREY, (0, 1, 0), (5.0, 0.5, 3.0)), 7.0),
        (box(GREY, (-1, 0, -1), (1, 2, 1)), 9.0),
        (box(GREY, (-1, 0, -1), (1, 2, 1), inset=(0, 0, 0, 1)), 9.5),
        (bar(GREY, (0, 0, 0), (0, 2, 0), 0.5), 9.5),
        (bar(GREY, (0, 0, 0), (0, 2, 0), 1.0, 0.0), 9.5),
        (bar(GREY, (0, 1, -1), (0, 1, 1), 0.5), 9.0),
        (board(GREY, (0, 1, 3), 1.0, 1.0), 7.0),
    ],
    ids=["ball", "ellipsoid", "box", "tapered box", "cylinder", "cone", "end of a bar", "board"],
)
def test_a_ray_ahead_meets_the_near_side_and_one_aside_misses(shape: Shape, distance: float) -> None:
    hit = straight(shape)
    assert hit.distance == pytest.approx([distance], abs=1e-4)
    assert np.linalg.norm(hit.normal[:, 0]) == pytest.approx(1.0, abs=1e-5)
    assert hit.normal[2, 0] > 0, "The normal looks away from the viewer."
    assert len(straight(shape, ASIDE).rays) == 0


def test_nothing_behind_the_viewer_is_seen() -> None:
    behind = placed([ball(GREY, (0, 1, 0), 1.0), box(GREY, (-1, 0, -1), (1, 2, 1))], at=(0, 0, 20))
    assert all(len(straight(shape).rays) == 0 for shape in behind)


@pytest.mark.parametrize(
    "shape", [ball(GREY, (0, 1, 0), 1.0), box(GREY, (-1, 0, -1), (1, 2, 1)), bar(GREY, (0, 0, 0), (0, 2, 0), 1.0)]
)
def test_a_shape_that_moves_is_met_as_far_away(shape: Shape) -> None:
    (moved,) = placed([shape], at=(0, 0, 2))
    assert straight(moved).distance == pytest.approx(straight(shape).distance - 2, abs=1e-4)


def test_a_fallen_thing_lies_on_the_ground() -> None:
    fallen = standing(placed([bar(GREY, (0, 0, 0), (0, 2, 0), 0.3)], tip=1.5))
    assert min(float(shape.outline()[:, 1].min()) for shape in fallen) == pytest.approx(0.0, abs=1e-5)


def test_a_board_reads_the_same_from_both_sides() -> None:
    left_dark = stripes(plain((0, 0, 0)), WHITE, 1, 0.0, 1.0)
    for eye_z, direction in ((10.0, -1.0), (-10.0, 1.0)):
        x = -0.25 * np.sign(eye_z)
        hit = board(left_dark, (0, 1, 0), 1.0, 1.0).meet(
            np.array([[x], [1.0], [eye_z]], np.float32), np.array([[0.0], [0.0], [direction]], np.float32)
        )
        assert left_dark.sample(hit.u, hit.v)[0, 0] == pytest.approx(0.0)


def test_bands_run_from_the_top() -> None:
    ring = bar(bands((1, WHITE), (1, plain((0, 0, 0)))), (0, 0, 0), (0, 4, 0), 0.5)
    hit = ring.meet(EYE + np.array([[0.0], [2.0], [0.0]], np.float32), AHEAD)
    assert ring.surface.sample(hit.u, hit.v)[0] == pytest.approx([1.0])
    low = straight(ring)
    assert ring.surface.sample(low.u, low.v)[0] == pytest.approx([0.0])


def test_linear_light_of_srgb() -> None:
    assert linear((0, 128, 255)) == pytest.approx((0.0, 0.2159, 1.0), abs=1e-3)


def test_the_frame_holds_the_shape_and_knows_its_size() -> None:
    post = [bar(GREY, (0, 0, 0), (0, 2, 0), 0.05)]
    frame = Frame(post, View(azimuth=0.4, distance=20.0), 120)
    top, foot = (frame.cells(np.array([[0], [y], [0]], np.float32))[1, 0] for y in (2.0, 0.0))
    assert 0 < top < foot < frame.rows
    assert frame.metres * (foot - top) / frame.rows == pytest.approx(2.0, rel=0.02)
    assert frame.standing == pytest.approx(foot / frame.rows)
