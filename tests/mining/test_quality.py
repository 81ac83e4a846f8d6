"""The quality report finds what was put in, in numbers and in views."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageFilter

from streetvision.mining.inspection import inspect, outliers
from streetvision.mining.quality import VIEWS, QualityReport, report_quality
from streetvision.scenes.scenes import render_scene

from .conftest import Mine

Jpeg = Callable[[int], bytes]


def scene(seed: int) -> Image.Image:
    return Image.fromarray(render_scene(60_000_000 + seed, size=(256, 192)).image)


def encode(image: Image.Image, quality: int = 88) -> bytes:
    out = BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def quality(mine: Mine) -> QualityReport:
    return report_quality(mine.fo, mine.dataset)


def test_every_kind_of_finding_is_found(mine: Mine) -> None:
    clean = [scene(seed) for seed in range(24)]
    odd = {
        "dark": encode(clean[0].point(lambda level: level // 12)),
        "bright": encode(Image.new("RGB", (256, 192), (252, 252, 252))),
        "blurred": encode(scene(70).filter(ImageFilter.GaussianBlur(12))),
        "corrupt": encode(clean[2])[:900],
        "copy": encode(clean[3].resize((320, 240)), 60),
    }
    axes = np.eye(40, dtype=np.float32)
    writer = mine.writer
    pictures = [*map(encode, clean[1:]), *odd.values()]
    writer.write(*(writer.answered(data, 8.0, embedding=axes[i]) for i, data in enumerate(pictures)))
    writer.write(writer.answered(pictures[5], 8.0, embedding=axes[5]))
    mine.sync()
    digest = {name: mine.sample(23 + i)["sha256"] for i, name in enumerate(odd)}
    for position, word in ((2, "roadwork"), (27, "none"), (8, "roadwork"), (8, "none"), (9, "none")):
        sample = mine.sample(position)
        sample.tags.append(word)
        sample.save()
    report = quality(mine)
    assert (report.images, report.measured) == (28, 28)
    found = {
        name.removeprefix("quality-"): set(mine.dataset.load_saved_view(name).values("sha256")) for name in report.views
    }
    assert {kind: len(found.get(kind, ())) for kind in VIEWS} == dict(report.found)
    assert found["corrupt"] == {digest["corrupt"]}
    assert digest["dark"] in found["dark"]
    assert digest["bright"] in found["bright"] & found["clipped"]
    assert digest["blurred"] in found["blurred"]
    assert found["duplicates"] == {digest["copy"], mine.sample(2)["sha256"]}
    assert report.duplicate_groups == 1
    assert found["repeated"] == {mine.sample(5)["sha256"]}
    assert found["conflicts"] == {digest["copy"], mine.sample(2)["sha256"], mine.sample(8)["sha256"]}
    assert found["doubtful"] == {digest["copy"], mine.sample(9)["sha256"]}
    assert report.labels == {"roadwork": 1, "none": 2}
    assert set(report.medians) == {"brightness", "contrast", "clipped", "sharpness"}


def test_clean_scenes_raise_little(mine: Mine) -> None:
    writer = mine.writer
    writer.write(*(writer.answered(encode(scene(200 + i))) for i in range(30)))
    mine.sync()
    found = quality(mine).found
    assert {
        kind: found[kind] for kind in ("corrupt", "duplicates", "conflicts", "doubtful", "repeated")
    } == dict.fromkeys(("corrupt", "duplicates", "conflicts", "doubtful", "repeated"), 0)
    assert sum(found.values()) <= 3


def test_pictures_are_measured_once_and_old_views_go(mine: Mine, jpeg: Jpeg) -> None:
    mine.writer.write(mine.writer.answered(jpeg(1)), mine.writer.answered(b"nothing"))
    mine.sync()
    assert quality(mine).measured == 2
    assert "quality-corrupt" in mine.dataset.list_saved_views()
    mine.writer.write(mine.writer.answered(jpeg(2)))
    mine.sync()
    Path(mine.sample(1).filepath).resolve().unlink()
    report = quality(mine)
    assert (report.measured, report.images, report.evicted) == (1, 2, 1)
    assert "quality-corrupt" not in mine.dataset.list_saved_views()


@pytest.mark.parametrize("count", [0, 1])
def test_an_empty_dataset_is_no_trouble(mine: Mine, jpeg: Jpeg, count: int) -> None:
    mine.writer.write(*(mine.writer.answered(jpeg(i)) for i in range(count)))
    mine.sync()
    assert sum(quality(mine).found.values()) == 0


def test_facts_of_known_pictures() -> None:
    grey = inspect(encode(Image.new("RGB", (64, 64), (128, 128, 128))))
    assert grey is not None
    assert grey.brightness == pytest.approx(128, abs=1)
    assert (grey.contrast, grey.clipped, grey.sharpness) == (0.0, 0.0, 0.0)
    assert not grey.fingerprint.any()
    halves = Image.new("RGB", (64, 64))
    halves.paste((255, 255, 255), (0, 0, 32, 64))
    black_and_white = inspect(encode(halves))
    assert black_and_white is not None
    assert black_and_white.clipped > 0.9
    assert np.linalg.norm(black_and_white.fingerprint) == pytest.approx(1.0)
    assert inspect(b"") is None


def test_blur_shows_and_contrast_does_not() -> None:
    picture = scene(3)
    sharp, soft, flat = (
        inspect(encode(one, 95))
        for one in (picture, picture.filter(ImageFilter.GaussianBlur(3)), picture.point(lambda level: 64 + level // 2))
    )
    assert sharp is not None
    assert soft is not None
    assert flat is not None
    assert soft.sharpness < sharp.sharpness / 3
    assert flat.sharpness == pytest.approx(sharp.sharpness, rel=0.3)
    assert flat.contrast < sharp.contrast * 0.6


@given(arrays(np.float64, st.integers(0, 40), elements=st.one_of(st.just(np.nan), st.floats(-10, 10))))
def test_outliers_are_few_and_never_the_median(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    low, high = outliers(values)
    assert not (low & high).any()
    assert not (low | high)[~np.isfinite(values)].any()
    assert (low | high).sum() <= np.isfinite(values).sum() / 2
