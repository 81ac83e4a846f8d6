"""What is shown of a picture."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from streetvision.engine.types import BadImage
from streetvision.labelling.prompt import Prompt, Shot
from streetvision.labelling.views import VIEWS, make_views, read_checked

from .conftest import jpeg


def encoded(picture: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    out = BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def size_of(data: bytes) -> tuple[int, int]:
    with Image.open(BytesIO(data)) as image:
        return image.size


def test_parts_are_as_large_as_the_whole() -> None:
    shown = make_views(jpeg(1, (2000, 1000)), range(len(VIEWS)), 500)
    assert [size_of(one) for one in shown] == [(500, 250), (500, 357), (500, 357), (500, 175), (500, 250)]


def test_small_pictures_are_not_blown_up() -> None:
    assert size_of(make_views(jpeg(1), [0], 1024)[0]) == (64, 48)


def test_parts_show_their_side() -> None:
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[:, 100:] = 255
    left, right = make_views(encoded(Image.fromarray(pixels), quality=95), [1, 2], 400)
    means = [np.asarray(Image.open(BytesIO(one)).convert("L")).mean() for one in (left, right)]
    assert means == pytest.approx([255 * 40 / 140, 255 * 100 / 140], abs=3)


def test_turned_pictures_are_shown_upright_and_without_metadata() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "whose camera it is"
    (shown,) = make_views(encoded(Image.new("RGB", (80, 40)), exif=exif), [0], 100)
    assert size_of(shown) == (40, 80)
    assert b"whose camera" not in shown


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_other_formats_become_jpeg(kind: str) -> None:
    (shown,) = make_views(encoded(Image.new("RGBA", (40, 30), (9, 9, 9, 0)), kind), [0], 100)
    assert shown[:2] == b"\xff\xd8"


@pytest.mark.parametrize("data", [b"", b"GIF89a", jpeg(1)[:300], b"\xff\xd8\xff\xe0" + bytes(50)])
def test_what_is_no_picture_is_told(data: bytes) -> None:
    with pytest.raises(BadImage):
        make_views(data, [0], 100)


def test_a_file_is_read_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    with pytest.raises(BadImage, match="not the picture"):
        read_checked(tmp_path / "a.jpg", "00")
    with pytest.raises(BadImage, match="cannot be read"):
        read_checked(tmp_path / "b.jpg", "00")


def test_what_stays_the_same_comes_first_in_a_question() -> None:
    prompt = Prompt("m", 500, 100, (Shot("a", True, jpeg(1)), Shot("b", False, jpeg(2))))
    first, second = (prompt.request(jpeg(seed), 0, structured=True)["messages"] for seed in (3, 4))
    assert first[0] == second[0]
    assert first[1]["content"][:-1] == second[1]["content"][:-1]
    assert [part["text"] for part in first[1]["content"] if part["type"] == "text"][1:3] == [
        *("Roadwork: yes.", "Roadwork: no.")
    ]


def test_the_version_is_of_all_that_is_asked() -> None:
    plain = Prompt("m", 500, 100)
    shown = Prompt("m", 500, 100, (Shot("a", True, b""),))
    other = Prompt("m", 500, 100, (Shot("a", False, b""),))
    assert len({one.asker for one in (plain, shown, other, Prompt("n", 500, 100), Prompt("m", 501, 100))}) == 5
    assert Prompt("m", 500, 999).asker == plain.asker
