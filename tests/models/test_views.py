"""The names of views: one spelling each, strictly read, and read back equal."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision.models.checks import CheckpointError
from streetvision.models.views import CROPS, MAX_VIEWS, OVERLAPS, PLAIN, SCALES, Flip, View, parse_view, parse_views

FLIPS: st.SearchStrategy[Flip] = st.sampled_from(get_args(Flip))


def shares(bounds: tuple[float, float]) -> st.SearchStrategy[float]:
    low, high = bounds
    return st.integers(round(low * 100), round(high * 100)).map(lambda n: n / 100)


VIEWS = st.one_of(
    st.builds(View, FLIPS),
    st.builds(View, FLIPS, crop=shares(CROPS)),
    st.builds(View, FLIPS, scale=shares(SCALES)),
    st.builds(View, FLIPS, columns=st.integers(2, 4), rows=st.integers(1, 4), overlap=shares(OVERLAPS)),
)


@given(VIEWS)
def test_every_view_reads_back_from_its_name(view: View) -> None:
    assert parse_view(str(view)) == view


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("plain", PLAIN),
        ("hflip", View("hflip")),
        ("rot90", View("rot90")),
        ("rot180", View("rot180")),
        ("crop:0.8+rot270", View("rot270", crop=0.8)),
        ("crop:0.8", View(crop=0.8)),
        ("crop:0.8+hflip", View("hflip", crop=0.8)),
        ("scale:0.75+vflip", View("vflip", scale=0.75)),
        ("tiles:3x2", View(columns=3, rows=2)),
        ("tiles:3x2@0.25+hflip", View("hflip", columns=3, rows=2, overlap=0.25)),
    ],
)
def test_what_views_are_called(text: str, view: View) -> None:
    assert parse_view(text) == view


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "does not exist: use plain"),
        ("+hflip", "write the view '+hflip' as 'hflip'"),
        ("sideways", "does not exist: use plain"),
        ("hflip+crop:0.8", "does not exist: use plain"),
        ("plain+hflip", "does not exist: use plain"),
        ("crop:0.8+scale:0.8", "does not exist: use plain"),
        ("hflip+vflip", "does not exist: use plain"),
        ("crop:nan", "does not exist: use plain"),
        ("crop:1e-1", "does not exist: use plain"),
        ("crop:٠.٨", "does not exist: use plain"),
        (" plain", "does not exist: use plain"),
        ("plain\n", "does not exist: use plain"),
        ("crop:0.80", "write the view 'crop:0.80' as 'crop:0.8'"),
        ("tiles:02x2", "write the view 'tiles:02x2' as 'tiles:2x2'"),
        ("tiles:2x2@0", "write the view 'tiles:2x2@0' as 'tiles:2x2'"),
        ("crop:0.1", "0.1 is not from 0.3 to 0.95"),
        ("scale:0.99", "0.99 is not from 0.5 to 0.95"),
        ("tiles:2x2@0.6", "0.6 is not from 0 to 0.5"),
        ("tiles:1x1", "must have 2 to 16 tiles"),
        ("tiles:9x9", "must have 2 to 16 tiles"),
        ("tiles:0x4", "must have 2 to 16 tiles"),
    ],
)
def test_other_texts_are_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        parse_view(text)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        ([], "views must name 1 to 16 views, not 0"),
        (["plain", *(f"crop:0.{n}" for n in range(31, 31 + MAX_VIEWS))], "views must name 1 to 16 views, not 17"),
        (["hflip", "plain"], "the first view must be 'plain', not 'hflip'"),
        (["plain", "hflip", "hflip"], "the view 'hflip' is named twice"),
        (["plain", "plain"], "the view 'plain' is named twice"),
        (["plain", 7], "7 is no view"),
        (["plain", None], "None is no view"),
    ],
)
def test_a_list_of_views_is_checked(texts: list[object], sentence: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        parse_views(texts)
    assert sentence in str(caught.value)


def test_a_list_of_views_keeps_its_order() -> None:
    assert parse_views(["plain", "vflip", "crop:0.8"]) == (PLAIN, View("vflip"), View(crop=0.8))
