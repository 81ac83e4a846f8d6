from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from streetvision.training.photographs import cutouts_in
from streetvision.training.sign_sprites import PLATE_METRES, sign_sprites
from streetvision.training.sprite_bank import Cutouts, sprite_bank

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red disc, the corners around it transparent."""
    image = Image.new("RGBA", (60, 60))
    ImageDraw.Draw(image).ellipse((5, 5, 55, 55), fill=(220, 20, 20, 255))
    file = tmp_path_factory.mktemp("signs") / "disc.png"
    image.save(file)
    return file


def test_a_sign_stands_on_the_lower_edge_in_its_own_colour(face: Path) -> None:
    for sprite in sign_sprites([face], 12, 64, 0):
        alpha = sprite.pixels[..., 3]
        assert sprite.pixels.shape == (64, 64, 4)
        assert alpha[-1].any()
        assert not alpha[0, 0]
        solid = sprite.pixels[alpha > 250][:, :3].astype(float)
        red = solid[solid[:, 0] > solid[:, 1] + 40]
        assert len(red) > 0.25 * len(solid)
        assert sprite.metres >= PLATE_METRES


def test_signs_are_drawn_alike_from_the_same_seed_and_differ_otherwise(face: Path) -> None:
    first, again, other = (sign_sprites([face], 3, 32, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, other, strict=True))


def test_faces_become_works_and_look_alikes_by_their_folder(face: Path) -> None:
    without = sprite_bank(8, 7, CPU, side=32)
    bank = sprite_bank(8, 7, CPU, side=32, signs=0.5, cutouts=Cutouts((face,), (face,), (face,)))
    assert len(bank) == len(without) + 1 + 4 + 1
    assert bank.works[len(without) :].tolist() == [False] * 5 + [True]


def test_some_faces_judge_and_never_train(face: Path, tmp_path: Path) -> None:
    for kind in ("sign", "works_sign", "cutout"):
        (tmp_path / kind).mkdir()
        for number in range(24):
            (tmp_path / kind / f"{number}.png").write_bytes(face.read_bytes())
    trained, judging = cutouts_in([tmp_path]), cutouts_in([tmp_path], judging=True)
    for mine, theirs in ((trained.signs, judging.signs), (trained.works_signs, judging.works_signs)):
        assert mine and theirs
        assert not {file.name for file in mine} & {file.name for file in theirs}
        assert len(mine) + len(theirs) == 24
    assert len(trained.things) == 24
