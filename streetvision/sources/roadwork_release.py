"""The ROADWork dataset as its authors release it: pictures and COCO-like annotations, unpacked into a folder.

Form: `annotations.zip` and `images.zip` of https://github.com/anuragxel/roadwork-dataset, unpacked to `annotations/`
and `images/`, directly or below `scene/`. Data: ODC-By 1.0. Source: Ghosh et al. 2024, arXiv 2406.07661.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from streetvision.sources.files import read_picture
from streetvision.sources.records import read_document, text
from streetvision.sources.source import Amount, Item, SourceError, SourcePicture, Unusable
from streetvision.sources.works_tag import WORKS, Box, works_in, works_text

LICENCE = "ODC-By-1.0"
PAGE = "https://github.com/anuragxel/roadwork-dataset"
NO_WORKS = frozenset({"police officer", "police vehicle", "bike lane"})
"""Categories that also stand where nobody works; every other one is part of a work zone."""
_PREFERRED, _ANY = "instances_*_gps_split.json", "instances_*.json"
_DRIVE = re.compile(r"(?P<city>.+)_(?P<video>[0-9a-f]{32})(?:_|$)")
_TAGS = {"daytime": "daytime", "weather": "weather", "environment": "scene_environment"}


@dataclass(frozen=True, slots=True)
class _Annotated:
    """One picture of the release."""

    file: str
    objects: tuple[str, ...]
    """Names of the categories in view, each once."""
    group: str
    tags: Mapping[str, str]
    works: str = ""
    """Where the works are, as the tag WORKS has it; empty where not all of them have a box."""


class RoadworkRelease:
    """One unpacked release; a picture with any part of a work zone in view is roadwork."""

    grows = True

    def __init__(self, folder: Path) -> None:
        self.name = f"roadwork-release:{folder}"
        root = next((one for one in (folder, folder / "scene") if (one / "annotations").is_dir()), None)
        if root is None or not (root / "images").is_dir():
            raise SourceError(
                f"{folder} holds no ROADWork release: unpack its annotations.zip to {folder}/annotations and its "
                f"images.zip to {folder}/images."
            )
        self._annotations, self._images = root / "annotations", root / "images"

    def amount(self, after: str | None = None) -> Amount:
        """Pictures after the key."""
        return Amount(len(self._after(after)))

    def pictures(self, after: str | None = None) -> Iterator[Item]:
        """In the order of their names."""
        for one in self._after(after):
            yield self._picture(one)

    def _after(self, after: str | None) -> list[_Annotated]:
        every = {one.file: one for one in self._annotated}
        return [every[name] for name in sorted(every) if after is None or name > after]

    @cached_property
    def _annotated(self) -> list[_Annotated]:
        """Read once: the lists are large."""
        return [one for file in self._lists() for one in read_list(file)]

    def _lists(self) -> list[Path]:
        """The lists that share no picture, where they are there; else all."""
        found = sorted(self._annotations.glob(_PREFERRED)) or sorted(self._annotations.glob(_ANY))
        if not found:
            raise SourceError(f"{self._annotations} holds no {_ANY}: unpack the release's annotations.zip there.")
        return found

    def _picture(self, one: _Annotated) -> Item:
        data = read_picture(self._images, one.file)
        if isinstance(data, Unusable):
            return data
        works = [name for name in one.objects if name.lower() not in NO_WORKS]
        tags = {**one.tags, "objects": ", ".join(works)} if works else dict(one.tags)
        tags |= {WORKS: one.works} if works and one.works else {}
        return SourcePicture(one.file, data, bool(works), one.group, LICENCE, url=PAGE, tags=tags)


def read_list(file: Path) -> list[_Annotated]:
    """The pictures of one list with their objects; SourceError when it has another form."""
    document = read_document(file)
    try:
        categories = {one["id"]: str(one["name"]) for one in document["categories"]}
        objects: dict[object, set[str]] = defaultdict(set)
        boxes: dict[object, list[Any]] = defaultdict(list)
        for one in document["annotations"]:
            name = categories[one["category_id"]]
            objects[one["image_id"]].add(name)
            if name.lower() not in NO_WORKS:
                boxes[one["image_id"]].append(one.get("bbox"))
        return [
            replace(_annotated(image, sorted(objects[image["id"]])), works=_boxes(image, boxes[image["id"]]))
            for image in document["images"]
        ]
    except (LookupError, TypeError, AttributeError) as error:
        raise SourceError(
            f"{file} has not COCO's form (images, annotations, categories): unpack annotations.zip anew."
        ) from error


def _annotated(image: Mapping[str, Any], objects: Sequence[str]) -> _Annotated:
    name = text(image["file_name"])
    tags = image.get("scene_level_tags") or {}
    said = {"city": text(image.get("city_name")), **{tag: text(tags.get(field)) for tag, field in _TAGS.items()}}
    return _Annotated(name, tuple(objects), _drive(name, image), {tag: value for tag, value in said.items() if value})


def _boxes(image: Mapping[str, Any], boxes: Sequence[Any]) -> str:
    """COCO's boxes (left, top, width, height in pixels) as the tag has them; nothing where one of them is none."""
    try:
        across, down = float(image["width"]), float(image["height"])
        told = works_text(_shares(box, across, down) for box in boxes)
    except (LookupError, TypeError, ValueError, ZeroDivisionError):
        return ""
    return told if len(works_in(told)) == len(boxes) else ""


def _shares(box: Sequence[Any], across: float, down: float) -> Box:
    left, top, wide, tall = (float(length) for length in box)
    return left / across, top / down, (left + wide) / across, (top + tall) / down


def _drive(name: str, image: Mapping[str, Any]) -> str:
    """City and video, as the subnet's public set names them too: the two share drives. Else the name without frame."""
    video = text((image.get("video_info") or {}).get("vid_id"))
    city = text(image.get("city_name"))
    if city and video:
        return f"{city}/{video}"
    stem = Path(name).stem
    found = _DRIVE.match(stem)
    return f"{found['city']}/{found['video']}" if found else stem.rpartition("_")[0] or stem
