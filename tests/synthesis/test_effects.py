"""What the local back end does: the scene stays, light and weather change, and chance comes from the seed alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from streetvision.scenes.sprites.kinds import WORKS
from streetvision.scenes.sprites.sprite import atlas, kind_in_atlas
from streetvision.synthesis.back_end import Declined, Order
from streetvision.synthesis.back_ends.local import EFFECTS, Local
from streetvision.synthesis.effects.fields import blur, follow, luma, smooth_noise
from streetvision.synthesis.effects.removal import without
from streetvision.synthesis.effects.street_geometry import look_at, vanishing_point
from streetvision.synthesis.effects.works import FIRST_SPRITE, UNMISTAKABLE
from streetvision.synthesis.kinds import KINDS
from streetvision.synthesis.pixels import Pixels, read_pixels, write_pixels

from .streets import HEIGHT, THING, WIDTH, street

LIGHT = sorted(EFFECTS.keys() - {"works", "look_alikes"})


def made(kind: str, pixels: Pixels, seed: int = 1) -> Pixels:
    return read_pixels(Local().make(Order(KINDS[kind], write_pixels(pixels), seed)))


@pytest.mark.parametrize("kind", LIGHT)
def test_an_effect_keeps_the_size_and_depends_on_the_seed_alone(kind: str) -> None:
    first, again, other = (made(kind, street(), seed) for seed in (1, 1, 2))
    assert first.shape == (HEIGHT, WIDTH, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.isfinite(first).all()


def test_by_night_it_is_dark_and_the_sky_is_darkest() -> None:
    night = np.mean([luma(made("night", street(thing=True), seed)) for seed in range(4)], axis=0)
    day = luma(street(thing=True))
    assert night.mean() < 0.75 * day.mean()
    assert night[:6].mean() < 0.4 * day[:6].mean()


def test_works_are_seen_by_night() -> None:
    night = made("night", street(thing=True), 3)
    left, top, right, bottom = (round(edge * side) for edge, side in zip(THING, (WIDTH, HEIGHT) * 2, strict=True))
    thing, beside = night[top:bottom, left:right], night[top:bottom, right + 3 : right + 9]
    assert (thing[..., 0] - thing[..., 2]).mean() > 0.1 + (beside[..., 0] - beside[..., 2]).mean()


def test_a_dark_street_is_not_made_dark_again() -> None:
    with pytest.raises(Declined, match="dark already"):
        made("night", street(light=0.1))


def test_fog_takes_more_of_what_is_far() -> None:
    clear, foggy = (np.abs(np.diff(luma(one), axis=1)) for one in (street(1), made("fog", street(1))))
    far, near = slice(18, 32), slice(56, 64)
    assert foggy[far].mean() / clear[far].mean() < 0.6
    assert foggy[far].mean() / clear[far].mean() < foggy[near].mean() / clear[near].mean()


def test_snow_whitens_the_ground() -> None:
    assert luma(made("snow", street()))[50:].mean() > 0.1 + luma(street())[50:].mean()


def test_a_wet_road_is_darker_than_a_dry_one() -> None:
    assert luma(made("rain", street()))[48:, 40:56].mean() < luma(street())[48:, 40:56].mean() - 0.05


def test_the_vanishing_point_is_where_the_roads_edges_meet() -> None:
    light = np.full((200, 300), 0.3, np.float32)
    rows, columns = np.mgrid[:200, :300]
    light[np.abs(columns - 180) < 0.9 * (rows - 80)] = 0.7
    column, row = vanishing_point(light)
    assert abs(column - 180) < 15
    assert abs(row - 80) < 15


def test_sky_is_above_and_road_below() -> None:
    seen = look_at(street())
    assert seen.sky[:8].mean() > 0.7
    assert seen.sky[40:].max() == 0.0
    assert seen.ground[:20].max() == 0.0
    assert seen.ground[52:, 40:56].mean() > 0.5
    assert seen.metres[:6].min() > seen.metres[60:].max()


def test_drawn_works_are_laid_in_where_nobody_could_overlook_them() -> None:
    before = read_pixels(write_pixels(street(3)))
    changed = np.abs(made("works", street(3)) - before).max(axis=2) > 0.1
    assert 0.002 < changed.mean() < 0.6


def test_a_kind_is_known_without_drawing_its_sprite() -> None:
    kinds = atlas(6, FIRST_SPRITE, 16).kinds
    assert [kind_in_atlas(FIRST_SPRITE + n) for n in range(6)] == kinds.tolist()
    assert {kind.name for kind in WORKS} >= UNMISTAKABLE


def test_what_is_taken_out_leaves_no_trace() -> None:
    cleared = without(street(thing=True), [THING])
    assert cleared is not None
    orange = cleared[..., 0] - cleared[..., 2] > 0.3
    assert not orange[32:].any()
    untouched = np.abs(cleared - street(thing=True)).max(axis=2) == 0
    assert untouched.mean() > 0.9


@pytest.mark.parametrize(
    "boxes", [[], [(0.1, 0.1, 0.9, 0.9)], [(0.02 * n, 0.6, 0.02 * n + 0.15, 0.75) for n in range(9)]]
)
def test_nothing_is_taken_out_that_would_show(boxes: list[tuple[float, float, float, float]]) -> None:
    assert without(street(thing=True), boxes) is None


def test_works_are_taken_out_only_where_somebody_says_where_all_of_them_are() -> None:
    picture = write_pixels(street(thing=True))
    with pytest.raises(Declined, match="nobody says"):
        Local().make(Order(KINDS["without"], picture, 1))
    assert Local().make(Order(KINDS["without"], picture, 1, (THING,)))


def test_wide_blurs_are_what_narrow_ones_are() -> None:
    spot = np.zeros((161, 161), np.float32)
    spot[80, 80] = 1.0
    for sigma in (3.0, 6.0, 9.0, 15.0):
        found = blur(spot, sigma)
        distance = np.arange(161) - 80.0
        measured = np.sqrt((found.sum(axis=0) * distance**2).sum() / found.sum())
        assert measured == pytest.approx(sigma, rel=0.25)
        assert found.sum() == pytest.approx(1.0, abs=0.05)


def test_a_guided_field_follows_the_guides_edges() -> None:
    guide = np.zeros((40, 40), np.float32)
    guide[:, 20:] = 1.0
    noisy = guide + np.random.default_rng(0).normal(0.0, 0.3, guide.shape).astype(np.float32)
    steps = np.abs(np.diff(follow(guide, noisy, 3.0), axis=1)).mean(axis=0)
    assert steps.argmax() == 19
    assert steps[19] > 10 * np.delete(steps, 19).max()


def test_noise_has_no_mean_and_unit_spread() -> None:
    values = smooth_noise((40, 60), 4.0, np.random.default_rng(0))
    assert values.shape == (40, 60)
    assert (abs(values.mean()), values.std()) == pytest.approx((0.0, 1.0), abs=1e-3)


def test_each_kind_has_words_that_say_what_becomes_of_works() -> None:
    for first, second in pairwise(KINDS.values()):
        assert first.prompt != second.prompt
    for kind in KINDS.values():
        assert kind.prompt.endswith(".")
        assert "work" in kind.prompt.lower() or kind.label is not None or "add none" in kind.prompt
