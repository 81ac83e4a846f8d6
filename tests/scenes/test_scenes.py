from __future__ import annotations

import hashlib
import subprocess
import sys
from random import Random

import numpy as np
import pytest

from streetvision.scenes import arranging, machine_parts, roadwork_parts, street_parts, vehicle_parts
from streetvision.scenes.camera import Camera, draw_camera
from streetvision.scenes.parts import Part
from streetvision.scenes.pen import Pen
from streetvision.scenes.scenes import CLEAR_AREA, CLEAR_SHARE, render_scene

ALL_PARTS = (
    *roadwork_parts.PARTS,
    *machine_parts.PARTS,
    machine_parts.DIRT,
    *vehicle_parts.PARTS,
    *street_parts.PARTS,
    *street_parts.SIGNS,
    *street_parts.TALL,
    *street_parts.TREES,
)


def test_a_seed_paints_the_same_picture_in_another_process() -> None:
    paint = "b''.join(render_scene(s, size=(160, 120)).image.tobytes() for s in range(6))"
    code = (
        "import hashlib; from streetvision.scenes.scenes import render_scene\n"
        f"print(hashlib.sha256({paint}).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    here = hashlib.sha256(b"".join(render_scene(s, size=(160, 120)).image.tobytes() for s in range(6))).hexdigest()
    assert there.stdout.strip() == here


def test_different_seeds_paint_different_pictures() -> None:
    hashes = {hashlib.sha256(render_scene(seed, size=(96, 96)).image.tobytes()).digest() for seed in range(30)}
    assert len(hashes) == 30


@pytest.mark.parametrize("seed", range(0, 120, 3))
def test_works_are_clear_where_they_are_and_absent_where_they_are_not(seed: int) -> None:
    with_works = render_scene(seed, roadwork=True, size=(192, 144))
    clear = [one for one in with_works.objects if one.clear]
    assert with_works.roadwork
    assert clear
    for one in clear:
        left, top, right, bottom = one.box
        assert 0.0 <= left < right <= 1.0
        assert 0.0 <= top < bottom <= 1.0
        assert one.visible >= CLEAR_SHARE
        assert one.area >= CLEAR_AREA
        assert one.area <= (right - left) * (bottom - top) * 1.3 + 0.01, "an object covers no more than its box"
    without = render_scene(seed, roadwork=False, size=(192, 144))
    assert not without.roadwork
    assert without.objects == ()
    assert without.conditions == with_works.conditions, "both show the same street, light and weather"


def test_the_seed_decides_evenly() -> None:
    labels = [render_scene(seed, size=(64, 64)).roadwork for seed in range(400)]
    assert 0.42 < np.mean(labels) < 0.58


def test_scenes_vary_in_street_light_weather_and_objects() -> None:
    scenes = [render_scene(seed, roadwork=True, size=(96, 72)) for seed in range(250)]
    kinds, lights, weathers = (set(values) for values in zip(*(one.conditions for one in scenes), strict=True))
    assert kinds == {"urban", "suburban", "rural", "highway"}
    assert lights == {"sunny", "overcast", "dusk", "night"}
    assert weathers == {"clear", "rain", "fog"}
    assert {one.name for scene in scenes for one in scene.objects} == set(arranging.WORKS)


@pytest.mark.parametrize("size", [(224, 224), (640, 360), (300, 520), (1024, 640)])
def test_any_size_and_aspect(size: tuple[int, int]) -> None:
    scene = render_scene(11, roadwork=True, size=size)
    assert scene.image.shape == (size[1], size[0], 3)
    assert scene.image.dtype == np.uint8
    assert scene.image.std() > 5


def test_native_size_shows_the_same_scene() -> None:
    small, large = (render_scene(4, roadwork=True, size=size) for size in ((400, 300), (2000, 1500)))
    assert [one.name for one in small.objects if one.area > 0.01] == [
        one.name for one in large.objects if one.area > 0.01
    ]
    shrunk = large.image.reshape(300, 5, 400, 5, 3).mean(axis=(1, 3))
    assert np.abs(shrunk.mean(axis=(0, 1)) - small.image.mean(axis=(0, 1))).max() < 12


@pytest.mark.parametrize("size", [(63, 200), (200, 8193), (0, 0)])
def test_sizes_out_of_range_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="pixels a side"):
        render_scene(0, size=size)


@pytest.mark.parametrize("part", ALL_PARTS, ids=lambda part: part.name)
def test_every_part_paints_something_within_its_sprite(part: Part) -> None:
    for seed in range(6):
        pen = Pen(round(80 * part.aspect), 80)
        part.paint(pen, Random(seed))
        sprite = np.asarray(pen.sprite())
        assert sprite.shape == (80, round(80 * part.aspect), 4)
        solid = (sprite[..., 3] > 127).mean()
        assert solid > 0.04, part.name
        assert part.low <= part.high


def test_no_harmless_part_counts_as_roadwork() -> None:
    ours = {part.name for part in ALL_PARTS if part.roadwork}
    assert ours == {part.name for part in (*roadwork_parts.PARTS, *machine_parts.PARTS)} == set(arranging.WORKS)


def test_the_camera_projects_and_inverts() -> None:
    camera = Camera(width=400, height=300, focal=350.0, horizon=120.0, centre=190.0, eye=1.5, bend=0.001)
    column, row = camera.project(2.0, 0.0, 10.0)
    assert row == pytest.approx(120.0 + 350.0 * 1.5 / 10.0)
    assert camera.lateral(column, 10.0) == pytest.approx(2.0)
    _, bottom = camera.project(0.0, 0.0, camera.nearest)
    assert bottom == pytest.approx(300.0)
    assert all(draw_camera(Random(seed), 320, 240).nearest > 0 for seed in range(50))
