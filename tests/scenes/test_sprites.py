"""Sprites: the same for a seed, cut out cleanly, labelled, every kind drawn, light that acts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from streetvision.scenes.sprites.kinds import LOOK_ALIKES, WORKS
from streetvision.scenes.sprites.lighting import Lighting
from streetvision.scenes.sprites.model import Kind
from streetvision.scenes.sprites.sprite import Atlas, Sprite, atlas, look_alike_sprite, works_sprite

SMALL = 48
NOON = Lighting(
    azimuth=0.5, elevation=0.9, sun=(1.0, 0.98, 0.95), sky=(0.3, 0.33, 0.38), ground=(0.1, 0.1, 0.1), haze=0.0
)


def brightness(sprite: Sprite) -> float:
    """Mean level of what is opaque."""
    return float(sprite.pixels[sprite.pixels[..., 3] > 250, :3].mean())


@pytest.mark.parametrize("make", [works_sprite, look_alike_sprite])
def test_a_seed_always_gives_the_same_sprite(make: Callable[..., Sprite]) -> None:
    first, second, other = make(7, longest=SMALL), make(7, longest=SMALL), make(8, longest=SMALL)
    np.testing.assert_array_equal(first.pixels, second.pixels)
    np.testing.assert_array_equal(first.shadow, second.shadow)
    assert (first.kind, first.metres, first.ground) == (second.kind, second.metres, second.ground)
    assert first.pixels.shape != other.pixels.shape or (first.pixels != other.pixels).any()


@pytest.mark.parametrize("kind", [*WORKS, *LOOK_ALIKES], ids=lambda kind: kind.name)
def test_every_kind_is_cut_out_whole(kind: Kind) -> None:
    works = kind in WORKS
    sprite = (works_sprite if works else look_alike_sprite)(3, kind=kind.name, longest=SMALL, light=NOON)
    height, width, channels = sprite.pixels.shape
    alpha = sprite.pixels[..., 3]
    assert (sprite.kind, sprite.works, channels) == (kind.name, works, 4)
    assert SMALL <= max(height, width) <= SMALL + 1
    assert sprite.shadow.shape == (height, width)
    assert alpha.max() > 100, "Nothing is drawn."
    border = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
    assert border.max() == 0, "The thing is cut off at the frame."
    assert 0.05 < sprite.metres < 60
    assert sprite.pixels[alpha > 100, :3].std() > 1, "The thing has no shading at all."


def test_kinds_have_names_of_their_own() -> None:
    names = [kind.name for kind in (*WORKS, *LOOK_ALIKES)]
    assert len(names) == len(set(names))


def test_what_stands_has_its_foot_in_the_frame_and_what_hangs_throws_no_shadow() -> None:
    cone = works_sprite(1, kind="cone", longest=SMALL, light=NOON)
    assert 0.6 < cone.ground < 1.0
    assert cone.shadow.max() > 60
    assert look_alike_sprite(1, kind="awning", longest=SMALL, light=NOON).shadow.max() == 0


def test_cones_are_orange_by_day() -> None:
    hues = []
    for seed in range(6):
        pixels = works_sprite(seed, kind="cone", longest=SMALL, light=NOON).pixels.astype(float)
        seen = pixels[pixels[..., 3] > 250]
        hues.append(seen[:, 0].mean() - seen[:, 2].mean())
    assert np.mean(hues) > 40


def test_light_haze_and_headlights_act() -> None:
    dark = replace(NOON, sun=(0.02,) * 3, sky=(0.02,) * 3)
    night, lit, noon = (
        works_sprite(5, kind="drum", light=light, longest=SMALL)
        for light in (dark, replace(dark, headlights=0.5), NOON)
    )
    assert brightness(night) < 0.6 * brightness(noon)
    assert brightness(lit) > 1.5 * brightness(night)
    hazy = works_sprite(5, kind="drum", light=replace(NOON, haze=0.9), longest=SMALL)
    assert hazy.pixels[hazy.pixels[..., 3] > 250, :3].std() < noon.pixels[noon.pixels[..., 3] > 250, :3].std()


def test_sun_from_the_left_lights_the_left() -> None:
    """A fallen or turned device would hide it; a bollard is round and stands."""
    left = replace(NOON, azimuth=-1.4, elevation=0.3)
    pixels = look_alike_sprite(2, kind="bollard", light=left, longest=SMALL).pixels.astype(float)
    opaque = pixels[..., 3] > 250
    columns = np.flatnonzero(opaque.any(axis=0))
    first, last = columns[len(columns) // 4], columns[-1 - len(columns) // 4]
    assert pixels[opaque[:, first], first, :3].mean() > pixels[opaque[:, last], last, :3].mean()


def test_an_unknown_kind_names_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"no kind 'unicorn'.*cone"):
        works_sprite(1, kind="unicorn")


def test_the_atlas_holds_works_and_look_alikes_in_turn_at_the_lower_edge() -> None:
    made = atlas(6, first_seed=20, side=SMALL)
    assert isinstance(made, Atlas)
    assert made.pixels.shape == (6, SMALL, SMALL, 4)
    assert made.shadows.shape == (6, SMALL, SMALL)
    np.testing.assert_array_equal(made.labels, [0, 1, 0, 1, 0, 1])
    works = {kind.name for kind in WORKS}
    assert [name in works for name in made.kinds] == [False, True] * 3
    assert (made.metres > 0).all()
    assert (made.aspect > 0).all()
    alone = works_sprite(21, longest=SMALL)
    height, width = (min(SMALL, length) for length in alone.pixels.shape[:2])
    left = (SMALL - width) // 2
    np.testing.assert_array_equal(made.pixels[1, SMALL - height :, left : left + width], alone.pixels[:height, :width])


def test_metres_of_the_atlas_count_the_whole_square() -> None:
    made, alone = atlas(2, first_seed=20, side=SMALL), works_sprite(21, longest=SMALL)
    a_pixel = alone.metres / alone.pixels.shape[0]
    assert made.metres[1] == pytest.approx(a_pixel * SMALL, rel=0.05)


@pytest.mark.parametrize("kind", [*WORKS, *LOOK_ALIKES], ids=lambda kind: kind.name)
def test_every_kind_can_be_built_from_many_seeds(kind: Kind) -> None:
    for seed in range(20):
        model = kind.build(Random(seed))
        lowest = min(float(shape.outline()[:, 1].min()) for shape in model.shapes)
        assert not model.grounded or -0.35 < lowest < 0.2, "It floats or sinks."
