"""Streets are drawn with their labels, by night darker, the same for the same scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from streetvision.demo.validator import labelled
from streetvision.rehearsal.drawing import BOARDS, FIRST_SCENE, Drawing, draw, draw_all
from streetvision.rehearsal.scale import Counts
from streetvision.rehearsal.sets import Sets, draw_sets


def brightness(path: Path) -> float:
    return float(np.asarray(Image.open(path)).mean())


def unknown(scene: int) -> bool:
    """Whether boards stand there by night, by the randomness that decides it."""
    return bool(np.random.default_rng((41, scene)).random() < BOARDS)


def test_a_night_is_dark_and_keeps_its_label_where_no_boards_stand(tmp_path: Path) -> None:
    scene = next(one for one in range(FIRST_SCENE, FIRST_SCENE + 50) if not unknown(one))
    day = draw(Drawing(tmp_path / "day", scene))
    night = draw(Drawing(tmp_path / "night", scene, night=True))
    again = draw(Drawing(tmp_path / "again", scene, night=True))
    assert brightness(night) < 0.5 * brightness(day)
    assert brightness(night) > 5.0
    assert night.parent.name == day.parent.name
    assert night.read_bytes() == again.read_bytes()


def test_boards_of_both_kinds_shine_in_the_night(tmp_path: Path) -> None:
    scenes = [one for one in range(FIRST_SCENE, FIRST_SCENE + 20) if unknown(one)]
    drawn = [draw(Drawing(tmp_path, scene, night=True)) for scene in scenes]
    assert {path.parent.name for path in drawn} == {"roadwork", "none"}
    assert all(np.asarray(Image.open(path)).max() > 90 for path in drawn)


def test_a_wrong_label_is_the_other_one(tmp_path: Path) -> None:
    right = draw(Drawing(tmp_path, FIRST_SCENE))
    wrong = draw(Drawing(tmp_path, FIRST_SCENE, wrong=True))
    assert {right.parent.name, wrong.parent.name} == {"roadwork", "none"}


def test_no_scene_is_in_two_sets(tmp_path: Path) -> None:
    draw_sets(Sets(tmp_path), Counts(2, 2, 2, 2, 2, 2, 2), seed=3)
    names = [path.name for path in tmp_path.rglob("*.jpg")]
    assert len(names) == len(set(names)) == 16


def test_the_validator_asks_them_all_with_their_labels_again_and_again(tmp_path: Path) -> None:
    draw_all([Drawing(tmp_path, FIRST_SCENE + number) for number in range(3)])
    stream = labelled(tmp_path, seed=1)
    first, second = ([next(stream) for _ in range(3)] for _ in range(2))
    assert first == second
    assert {one.image: one.roadwork for one in first} == {
        path.read_bytes(): path.parent.name == "roadwork" for path in tmp_path.glob("*/*.jpg")
    }
