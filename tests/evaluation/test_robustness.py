from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from streetvision.evaluation.calibration import negative_log_likelihood
from streetvision.evaluation.distortions import CONDITIONS, arrivals, upright
from streetvision.evaluation.figures import Sample
from streetvision.evaluation.predictions import Serving, answer_examples, serving
from streetvision.evaluation.robustness import AS_SENT, chosen, robustness
from streetvision.scenes.augment import ORDER
from streetvision.sources.dataset import Example

Pictures = Callable[..., list[Example]]
CHEAP = tuple(one for one in CONDITIONS if (one.kind, one.step) in {("sideways", "left"), ("saturation", "5")})


def photo(size: tuple[int, int] = (120, 80), orientation: int | None = None) -> bytes:
    """Red on the left, green on the right."""
    image = Image.new("RGB", size, (200, 30, 30))
    image.paste((30, 160, 30), (size[0] // 2, 0, *size))
    out, exif = BytesIO(), Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    image.save(out, "JPEG", quality=95, exif=exif)
    return out.getvalue()


def pixels(jpeg: bytes) -> np.ndarray:
    with Image.open(BytesIO(jpeg)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_every_distortion_of_the_validators_is_there_at_every_degree() -> None:
    kinds = {kind: [one.step for one in CONDITIONS if one.kind == kind] for kind in ORDER}
    assert all(steps == ["1", "2", "3", "4", "5"] for steps in kinds.values())
    names = [(one.kind, one.step) for one in CONDITIONS]
    assert len(set(names)) == len(names)
    assert AS_SENT not in names


def test_a_picture_arrives_as_each_condition_says() -> None:
    found = {(one.condition.kind, one.condition.step): one.jpeg for one in arrivals(photo(), 0)}
    assert len(found) == len(CONDITIONS)
    left, right = pixels(found["sideways", "left"]), pixels(found["sideways", "right"])
    assert left.shape == right.shape == (120, 80, 3)
    assert left[100, 40, 0] > 150 > left[20, 40, 0], "turned left, the red left half lies below"
    assert right[20, 40, 0] > 150 > right[100, 40, 0]
    mirrored = pixels(found["flipped", "mirrored"])
    assert mirrored[40, 100, 0] > 150 > mirrored[40, 20, 0]
    assert pixels(found["small", "224 px"]).shape == (224, 224, 3)
    grey = pixels(found["saturation", "5"])
    assert np.ptp(grey, axis=-1).max() <= 6
    assert len(found["JPEG quality", "10"]) < len(found["JPEG quality", "75"])


def test_the_same_seed_distorts_alike() -> None:
    noise = tuple(one for one in CONDITIONS if one.kind in ("noise", "blocks", "level"))
    first, again, other = ([one.jpeg for one in arrivals(photo(), seed, noise)] for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_a_photo_that_its_file_turns_is_upright_first() -> None:
    image = np.asarray(upright(photo(orientation=6)))
    assert image.shape == (120, 80, 3)
    assert image[10, 40, 0] > 150 > image[110, 40, 0]


async def test_each_condition_has_the_figures_of_what_was_answered(small_model: Path, pictures: Pictures) -> None:
    examples = pictures(6)
    done: list[int] = []
    async with serving(small_model, Serving("cpu")) as engine:
        plain = await answer_examples(engine, examples)
        found = await robustness(engine, examples, plain.sample, conditions=CHEAP, progress=done.append)
        turned = []
        for example in examples:
            example.path.write_bytes(next(arrivals(example.path.read_bytes(), 0, CHEAP[:1])).jpeg)
            turned.append(example)
        sideways = await answer_examples(engine, turned)
    assert [(one.kind, one.step, one.count) for one in found] == [
        (*AS_SENT, 6),
        *((one.kind, one.step, 6) for one in CHEAP),
    ]
    assert found[0].figures["nll"].value == pytest.approx(nll(plain.sample))
    assert found[1].figures["nll"].value == pytest.approx(nll(sideways.sample), rel=1e-4)
    lost = (plain.sample.said == plain.sample.labels).mean() - (sideways.sample.said == sideways.sample.labels).mean()
    assert found[1].fall.value == pytest.approx(lost)
    assert (found[0].fall.value, found[0].fall.low) == (0.0, None), "three groups are too few for an interval"
    assert sum(done) == 6


def nll(sample: Sample) -> float:
    return negative_log_likelihood(sample.logits, sample.labels)


@pytest.mark.parametrize(
    ("positives", "negatives", "most"), [(30, 5, 20), (5, 30, 20), (12, 12, 11), (0, 9, 4), (3, 2, 50)]
)
def test_the_chosen_pictures_are_of_both_classes_as_evenly_as_can_be(positives: int, negatives: int, most: int) -> None:
    some = [Example(Path(f"{p}.jpg"), p < positives, "", "test") for p in range(positives + negatives)]
    places = chosen(some, most)
    assert places == chosen(some, most) == sorted(set(places))
    assert len(places) == min(most, len(some))
    count = sum(some[place].label for place in places)
    fewer = min(positives, negatives)
    assert min(count, len(places) - count) >= min(fewer, most // 2)


def test_none_are_chosen_where_none_are_wanted() -> None:
    assert chosen([Example(Path("a.jpg"), True, "", "test")], 0) == []
