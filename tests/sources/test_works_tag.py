from __future__ import annotations

from pathlib import Path

import pytest

from streetvision.sources.scenes import draw
from streetvision.sources.works_tag import WORKS, works_in, works_text


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        ("0.1,0.2,0.3,0.4; 0.5,0.5,0.6,0.6", ((0.1, 0.2, 0.3, 0.4), (0.5, 0.5, 0.6, 0.6))),
        *((text, ()) for text in ("", "a,b,c,d", "0.1,0.2,0.3", "0.3,0.2,0.1,0.4", "0,0,1,nan", "-1,0,1,1")),
    ],
)
def test_boxes_are_read_or_there_are_none(text: str, boxes: tuple[tuple[float, ...], ...]) -> None:
    assert works_in(text) == boxes


def test_what_is_written_is_read() -> None:
    assert works_in(works_text([(-0.2, 0.25, 0.5, 1.2)])) == ((0.0, 0.25, 0.5, 1.0),)


def test_drawn_scenes_say_where_their_works_are(tmp_path: Path) -> None:
    shown = [draw(number) for number in range(6)]
    assert {one.label for one in shown} == {True, False}
    assert all(bool(works_in(one.tags.get(WORKS, ""))) == one.label for one in shown)
