"""The ROADWork release, on a fixture of its form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from streetvision.sources.roadwork_release import RoadworkRelease
from streetvision.sources.source import SourceError, SourcePicture, Unusable

from .pictures import jpeg

VIDEO = "9ed0f726ba84457084db85d84fb358ea"
CATEGORIES = [{"id": 1, "name": "Police Vehicle"}, {"id": 3, "name": "Cone"}, {"id": 15, "name": "Worker"}]


def image(number: int, name: str, **more: Any) -> dict[str, Any]:
    return {"id": number, "file_name": name, "width": 64, "height": 64, "license": 0, **more}


def release(folder: Path, images: list[dict[str, Any]], objects: list[tuple[int, int]], name: str = "train") -> Path:
    for sub in ("annotations", "images"):
        (folder / "scene" / sub).mkdir(parents=True, exist_ok=True)
    annotations = [
        {"id": i, "image_id": one, "category_id": category, "bbox": [1, 2, 3, 4], "segmentation": []}
        for i, (one, category) in enumerate(objects)
    ]
    document = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    (folder / "scene" / "annotations" / f"instances_{name}_gps_split.json").write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize("box", [None, [1, 2, 3], ["a", 2, 3, 4], [1, 2, -3, 4], [70, 2, 3, 4]])
def test_where_the_works_are_is_said_only_where_all_have_a_box(tmp_path: Path, box: object) -> None:
    release(tmp_path, [image(1, "a.jpg")], [(1, 3), (1, 15)])
    file = tmp_path / "scene" / "annotations" / "instances_train_gps_split.json"
    document = json.loads(file.read_text())
    document["annotations"][1]["bbox"] = box
    file.write_text(json.dumps(document))
    (tmp_path / "scene" / "images" / "a.jpg").write_bytes(jpeg(1))
    (only,) = RoadworkRelease(tmp_path).pictures()
    assert isinstance(only, SourcePicture)
    assert only.label
    assert "works" not in only.tags


def test_any_part_of_a_work_zone_is_roadwork_and_drives_are_groups(tmp_path: Path) -> None:
    tags = {"weather": ["Sunny"], "daytime": "Light", "scene_environment": "Urban", "travel_alteration": ["None"]}
    names = [f"boston_{VIDEO}_000004_04050.jpg", "pgh01_0458.jpg", "pgh01_0460.jpg", "x.jpg"]
    images = [
        image(1, names[0], city_name="boston", video_info={"vid_id": VIDEO, "seq_id": 4}, scene_level_tags=tags),
        image(2, names[1]),
        image(3, names[2]),
    ]
    release(tmp_path, images, [(1, 3), (1, 15), (1, 3), (2, 1)])
    release(tmp_path, [image(1, names[3])], [], name="val")
    for number, name in enumerate(names):
        (tmp_path / "scene" / "images" / name).write_bytes(jpeg(number))
    source = RoadworkRelease(tmp_path)
    got = [item for item in source.pictures() if isinstance(item, SourcePicture)]
    assert [(one.key, one.label, one.group) for one in got] == [
        (names[0], True, f"boston/{VIDEO}"),
        (names[1], False, "pgh01"),
        (names[2], False, "pgh01"),
        (names[3], False, "x"),
    ]
    assert got[0].tags == {
        "city": "boston",
        "daytime": "Light",
        "weather": "Sunny",
        "environment": "Urban",
        "objects": "Cone, Worker",
        "works": ";".join(["0.0156,0.0312,0.0625,0.0938"] * 3),
    }
    assert {one.licence for one in got} == {"ODC-By-1.0"}
    assert [item.key for item in source.pictures(names[1])] == names[2:]


def test_a_drive_is_named_as_in_the_subnets_set_where_the_list_says_less(tmp_path: Path) -> None:
    name = f"los_angeles_{VIDEO}_000004_04050.jpg"
    release(tmp_path, [image(1, name)], [])
    (tmp_path / "scene" / "images" / name).write_bytes(jpeg(1))
    (only,) = RoadworkRelease(tmp_path).pictures()
    assert isinstance(only, SourcePicture)
    assert only.group == f"los_angeles/{VIDEO}"


def test_pictures_that_are_not_there_are_counted_and_nothing_outside_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(jpeg(1))
    release(tmp_path / "r", [image(1, "gone.jpg"), image(2, "../../../secret.jpg")], [])
    reasons = [item.reason for item in RoadworkRelease(tmp_path / "r").pictures() if isinstance(item, Unusable)]
    assert reasons == ["the file lies outside the folder", "the file does not exist"]


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        "nonsense",
        '{"images": [{"id": 1}], "annotations": [], "categories": []}',
        '{"images": 3, "annotations": [], "categories": []}',
        '{"images": [{"id": 1, "file_name": "a", "scene_level_tags": "x"}], "annotations": [], "categories": []}',
        '{"images": [], "annotations": [{"image_id": [], "category_id": 1}], "categories": []}',
        "[" * 100_000,
    ],
)
def test_a_list_of_another_form_is_one_sentence(tmp_path: Path, text: str) -> None:
    release(tmp_path, [], [])
    (tmp_path / "scene" / "annotations" / "instances_train_gps_split.json").write_text(text)
    with pytest.raises(SourceError) as caught:
        list(RoadworkRelease(tmp_path).pictures())
    assert "\n" not in str(caught.value)


def test_a_folder_that_holds_no_release_says_what_to_unpack(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"unpack its annotations\.zip to"):
        RoadworkRelease(tmp_path)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "images").mkdir()
    with pytest.raises(SourceError, match=r"holds no instances_\*\.json"):
        list(RoadworkRelease(tmp_path).pictures())
