"""The most uncertain images of the log: found, made small, and never the bytes that came."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from streetvision.errors import OperatorError
from streetvision.page.pictures import KEPT, LIMITS, MOST, SIDE, Gallery

from ..conftest import Logbook

NOW = 1_790_001_000.0


def photo(seed: int, size: tuple[int, int] = (64, 48), kind: str = "JPEG", **options: Any) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def test_the_most_uncertain_come_first_each_image_once(logbook: Logbook) -> None:
    scores = [0.99, 0.52, 0.3, 0.45, 0.02]
    for seed, score in enumerate(scores):
        logbook.write(
            logbook.record(photo(seed), logbook.answer(score)), logbook.record(photo(seed), logbook.answer(score))
        )
    logbook.write(logbook.record(photo(9)))
    found = Gallery(logbook.folder).pictures(NOW)
    assert [picture.probability for picture in found] == [0.52, 0.45, 0.3, 0.02, 0.99]
    assert (found[0].uid, found[0].width, found[0].height) == (12, 640, 480)
    assert Gallery(logbook.folder).pictures(NOW, most=2)[1].probability == 0.45
    assert Gallery(logbook.folder).pictures(NOW + 8 * 86_400) == []


def test_a_picture_is_ours_and_small(logbook: Logbook) -> None:
    exif = Image.Exif()
    exif[0x010E] = "SECRET-DESCRIPTION"
    sent = photo(1, (1600, 1200), exif=exif) + b"SECRET-TRAILER"
    logbook.write(logbook.record(sent, logbook.answer(0.5)))
    (picture,) = Gallery(logbook.folder).pictures(NOW)
    data = base64.b64decode(picture.jpeg, validate=True)
    assert b"SECRET" not in data
    assert len(data) < 12_000
    with Image.open(BytesIO(data)) as image:
        assert (image.format, image.size) == ("JPEG", (SIDE, SIDE))


def bomb() -> bytes:
    buffer = BytesIO()
    Image.new("L", (9000, 9000)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg onload=alert(1)>",
        photo(1)[:200],
        b"\xff\xd8\xff" + b"\xff" * 99,
        bomb(),
        photo(2, kind="GIF"),
        b"\x00" * 99,
    ],
    ids=["empty", "markup", "cut", "garbage", "bomb", "gif", "zeros"],
)
def test_bytes_that_are_no_picture_are_left_out(logbook: Logbook, data: bytes) -> None:
    logbook.write(logbook.record(data, logbook.answer(0.5)), logbook.record(photo(1), logbook.answer(0.6)))
    assert [picture.probability for picture in Gallery(logbook.folder).pictures(NOW)] == [0.6]


def test_an_image_that_was_exchanged_or_is_gone(logbook: Logbook) -> None:
    for seed in range(3):
        logbook.write(logbook.record(photo(seed), logbook.answer(0.5 + 0.01 * seed)))
    logbook.image_of(1).unlink()
    with logbook.image_of(2).open("wb") as file:
        file.truncate(LIMITS.max_bytes + 1)
    assert [picture.probability for picture in Gallery(logbook.folder).pictures(NOW)] == [0.52]


def test_a_page_waits_a_moment_for_new_pictures_and_the_next_has_more(logbook: Logbook) -> None:
    logbook.write(*(logbook.record(photo(seed), logbook.answer(0.5)) for seed in range(6)))
    time = 0.0

    def clock() -> float:
        nonlocal time
        time += 1.0
        return time

    gallery = Gallery(logbook.folder, clock=clock)
    assert len(gallery.pictures(NOW, budget_s=2.5)) == 2
    assert len(gallery.pictures(NOW, budget_s=2.5)) == 4
    assert len(gallery.pictures(NOW, budget_s=None)) == 6


def test_what_is_kept_is_bounded(logbook: Logbook) -> None:
    logbook.write(*(logbook.record(photo(seed, (16, 16)), logbook.answer(0.5)) for seed in range(KEPT + 9)))
    gallery = Gallery(logbook.folder)
    assert len(gallery.pictures(NOW)) == MOST
    assert len(gallery.pictures(NOW, most=KEPT + 9, budget_s=None)) == KEPT + 9
    assert len(gallery._made) == KEPT


def test_no_log_and_a_broken_one(tmp_path: Path) -> None:
    assert Gallery(tmp_path).pictures(NOW) == []
    (tmp_path / "predictions.sqlite").write_bytes(b"no database" * 99)
    with pytest.raises(OperatorError, match="cannot be read"):
        Gallery(tmp_path).pictures(NOW)
