"""The passes that views ask for, and the pixels that each look gets."""

from __future__ import annotations

import io
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from streetvision.engine.decode import DecodeLimits, decode, decode_looks
from streetvision.engine.views import WHOLE, Eye, Frame, Look, ResizeRule, looks_of, plain_look, plan_passes
from streetvision.models.views import PLAIN, View, parse_view, parse_views

LIMITS = DecodeLimits()
ORIENTATION = 0x0112
RULES: tuple[ResizeRule, ...] = ("squash", "crop")
TURNED = ("hflip", "vflip", "rot180", "rot90")
ALL = parse_views(["plain", *TURNED, "crop:0.8", "crop:0.6+hflip", "scale:0.75", "tiles:2x2@0.2", "tiles:3x2"])


def texture(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(width + height)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def encode(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def look_at(data: bytes, *names: str, size: int = 64, rule: ResizeRule = "squash") -> list[NDArray[np.uint8]]:
    """The arrays of these views, plain first."""
    eye = Eye(size, rule)
    decoded = decode_looks(
        data,
        lambda width, height: [look for name in names for look in looks_of(parse_view(name), width, height, eye)],
        limits=LIMITS,
    )
    return [decoded.array, *decoded.others]


def gap(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> float:
    return float(np.abs(left.astype(int) - right.astype(int)).mean())


def test_every_member_sees_a_view_before_any_sees_the_next() -> None:
    eyes = (Eye(64, "squash", 2.0), Eye(96, "crop"))
    passes = plan_passes(eyes, parse_views(["plain", "hflip", "tiles:2x2"]), 800, 600)
    assert [p.member for p in passes] == [0, 1, 0, 1, 0, 0, 0, 0, 1, 1, 1, 1]
    assert [p.look.flip for p in passes[:4]] == ["", "", "hflip", "hflip"]
    assert passes[0].look == plain_look(800, 600, eyes[0])
    assert {p.look.frame.size for p in passes if p.member == 1} == {96}


def test_tiles_share_the_weight_of_their_view() -> None:
    passes = plan_passes((Eye(64, "squash", 3.0),), parse_views(["plain", "tiles:3x2"]), 800, 600)
    assert [p.weight for p in passes] == [3.0] + [0.5] * 6


@pytest.mark.parametrize(("width", "tiles"), [(1280, 6), (672, 6), (671, 0), (224, 0)])
def test_a_picture_in_which_tiles_would_have_to_be_enlarged_has_none(width: int, tiles: int) -> None:
    assert len(looks_of(parse_view("tiles:3x2"), width, width, Eye(224, "squash"))) == tiles


@given(
    columns=st.integers(1, 4),
    rows=st.integers(2, 4),
    overlap=st.floats(0, 0.5),
    width=st.integers(64, 5000),
    height=st.integers(64, 5000),
    rule=st.sampled_from(RULES),
)
def test_tiles_lie_within_the_picture_and_squashed_ones_cover_it(
    columns: int, rows: int, overlap: float, width: int, height: int, rule: ResizeRule
) -> None:
    view = View(columns=columns, rows=rows, overlap=overlap)
    boxes = [look.frame.box for look in looks_of(view, width, height, Eye(1, rule))]
    assert len(boxes) == columns * rows
    for left, top, right, bottom in boxes:
        assert -1e-9 <= left < right <= 1 + 1e-9
        assert -1e-9 <= top < bottom <= 1 + 1e-9
        if rule == "crop":
            assert (right - left) * width == pytest.approx((bottom - top) * height)
    if rule == "squash":
        for x, y in product(np.linspace(0, 1, 13), repeat=2):
            assert any(b[0] - 1e-9 <= x <= b[2] + 1e-9 and b[1] - 1e-9 <= y <= b[3] + 1e-9 for b in boxes)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_first_look_is_what_is_decoded_without_views(kind: str, rule: ResizeRule) -> None:
    data = encode(texture(1600, 1200), kind)
    alone = decode(data, size=64, limits=LIMITS, resize=rule)
    eye = Eye(64, rule)
    among = decode_looks(data, lambda w, h: [p.look for p in plan_passes((eye,), ALL, w, h)], limits=LIMITS)
    assert np.array_equal(among.array, alone.array)
    assert among.array.flags.c_contiguous
    assert (among.width, among.height, among.format) == (alone.width, alone.height, alone.format)
    assert len(among.others) == len(ALL) - 1 + 3 + 5


def test_the_pixels_of_a_look_do_not_depend_on_what_else_is_asked_for() -> None:
    data = encode(texture(2400, 1600))
    together = look_at(data, *map(str, ALL))
    apart = [array for view in ALL for array in look_at(data, str(view))]
    for left, right in zip(together, apart, strict=True):
        assert np.array_equal(left, right)


def test_flips_mirror_the_upright_look_and_cost_no_pixels() -> None:
    plain, across, down, turned = look_at(encode(texture(300, 200)), "plain", "hflip", "vflip", "rot180")
    assert np.array_equal(across, plain[:, ::-1])
    assert np.array_equal(down, plain[::-1])
    assert np.array_equal(turned, plain[::-1, ::-1])
    assert not across.flags.owndata


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(("width", "height"), [(300, 200), (200, 300), (64, 64)])
@pytest.mark.parametrize("rule", RULES)
def test_quarter_turns_show_the_upright_look_of_the_turned_picture(
    kind: str, width: int, height: int, rule: ResizeRule
) -> None:
    data = encode(texture(width, height), kind)
    plain, left, right, both = look_at(data, "plain", "rot90", "rot270", "crop:0.5+rot90", rule=rule)
    assert np.array_equal(left, np.rot90(plain))
    assert np.array_equal(right, np.rot90(plain, -1))
    assert np.array_equal(both, np.rot90(look_at(data, "crop:0.5", rule=rule)[0]))
    assert not left.flags.owndata
    turned = look_at(encode(texture(width, height).transpose(Image.Transpose.ROTATE_90), kind), "plain", rule=rule)[0]
    assert gap(left, turned) < (1.0 if kind == "PNG" else 8.0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_quarter_turns_turn_what_orientation_made_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    plain, left = look_at(encode(texture(300, 200), exif=exif), "plain", "rot90")
    assert np.array_equal(left, np.rot90(plain))


def test_a_crop_keeps_the_share_of_the_centre() -> None:
    picture = texture(400, 200)
    whole, square = (look_at(encode(picture, "PNG"), "crop:0.5", rule=rule)[0] for rule in RULES)
    bicubic = Image.Resampling.BICUBIC
    assert np.array_equal(whole, np.asarray(picture.resize((64, 64), bicubic, box=(100, 50, 300, 150))))
    assert np.array_equal(square, np.asarray(picture.resize((64, 64), bicubic, box=(150, 50, 250, 150))))


def test_a_scale_shrinks_the_picture_into_its_mirrored_edges() -> None:
    picture = texture(400, 200)
    (array,) = look_at(encode(picture, "PNG"), "scale:0.5")
    inner = np.asarray(picture.resize((32, 32), Image.Resampling.BICUBIC))
    assert np.array_equal(array[16:48, 16:48], inner)
    assert np.array_equal(array[16:48, :16], inner[:, 15::-1])
    assert np.array_equal(array[48:, 16:48], inner[:15:-1])


def test_tiles_of_a_jpeg_are_as_sharp_as_cut_from_a_full_decode() -> None:
    picture = texture(2048, 1536)
    data = encode(picture, quality=92)
    tiles = look_at(data, "tiles:2x2", size=224)
    full = Image.open(io.BytesIO(data)).convert("RGB")
    boxes = [(0, 0, 1024, 768), (1024, 0, 2048, 768), (0, 768, 1024, 1536), (1024, 768, 2048, 1536)]
    for tile, box in zip(tiles, boxes, strict=True):
        assert gap(tile, np.asarray(full.resize((224, 224), Image.Resampling.BICUBIC, box=box))) < 1.0


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("rule", RULES)
def test_views_are_of_the_upright_picture(orientation: int, rule: ResizeRule) -> None:
    names = ("plain", "hflip", "crop:0.6", "scale:0.75", "tiles:3x2@0.2")
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = texture(640, 400)
    turned = look_at(encode(stored, "PNG", exif=exif), *names, rule=rule)
    picture = Image.open(io.BytesIO(encode(stored, "PNG", exif=exif)))
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(picture)
    expected = look_at(encode(upright, "PNG"), *names, rule=rule)
    for left, right in zip(turned, expected, strict=True):
        assert gap(left, right) < 0.5


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    kind=st.sampled_from(["JPEG", "PNG", "WEBP"]),
    mode=st.sampled_from(["RGB", "L"]),
    orientation=st.integers(1, 8),
    rule=st.sampled_from(RULES),
    size=st.integers(2, 128),
)
def test_any_picture_gives_every_look_in_the_asked_size(
    width: int, height: int, kind: str, mode: str, orientation: int, rule: ResizeRule, size: int
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = encode(Image.effect_noise((width, height), 60).convert(mode), kind, exif=exif)
    for array in look_at(data, *map(str, ALL), size=size, rule=rule):
        assert array.shape == (size, size, 3)
        assert array.dtype == np.uint8


def test_a_model_that_was_made_with_another_filter_is_shown_pictures_through_it() -> None:
    picture = texture(400, 200)
    eye = Eye(64, "squash", resample="bilinear")
    decoded = decode_looks(encode(picture, "PNG"), lambda w, h: looks_of(PLAIN, w, h, eye), limits=LIMITS)
    assert np.array_equal(decoded.array, np.asarray(picture.resize((64, 64), Image.Resampling.BILINEAR)))


def test_a_plain_look_is_the_whole_picture_or_its_central_square() -> None:
    assert plain_look(400, 200, Eye(64, "squash")) == Look(Frame(64, WHOLE, 64))
    assert plain_look(400, 200, Eye(64, "crop")) == Look(Frame(64, (0.25, 0.0, 0.75, 1.0), 64))
    assert looks_of(PLAIN, 400, 200, Eye(64, "crop")) == (plain_look(400, 200, Eye(64, "crop")),)
