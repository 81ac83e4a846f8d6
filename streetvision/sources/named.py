"""From how an operator writes a source to the source: `roadwork`, `hub:OWNER/NAME`, `folder:PATH` and so on."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from streetvision.base.paths import expanded
from streetvision.sources.labels import USUAL, LabelWords
from streetvision.sources.source import UNKNOWN_LICENCE, Source, SourceError

FORMS: Mapping[str, str] = {
    "roadwork": "the subnet's public set",
    "hub:OWNER/NAME": "any image set on the Hugging Face hub, with @REVISION where wanted",
    "folder:PATH": "folders named after the classes, or a CSV manifest",
    "roadwork-release:PATH": "the ROADWork dataset as its authors release it",
    "mined:PATH": "a training set of `streetvision mine export`",
    "scenes:FIRST-LAST": "procedural scenes",
    "made:PATH": "pictures with a record of what made them",
}
"""How sources are written, and what they are."""


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What an operator says about columns, classes and licence; empty: as the source is known or usual."""

    image_column: str = ""
    label_column: str = ""
    group_column: str = ""
    words: LabelWords = USUAL
    licence: str = ""


def open_source(text: str, options: SourceOptions = SourceOptions()) -> Source:
    """The source that is meant; raises SourceError with one sentence, or OperatorError of the hub."""
    kind, colon, rest = text.partition(":")
    if text == "roadwork":
        from streetvision.sources.hub import ROADWORK

        return _hub(ROADWORK, options)
    if colon and kind in _OPENERS:
        return _OPENERS[kind](rest, options)
    if expanded(text).exists():
        return _folder(text, options)
    known = [form.partition(":")[0] for form in FORMS]
    near = difflib.get_close_matches(kind, known, n=1)
    guess = f"did you mean {near[0]}" if near else f"write {', '.join(FORMS)}, or a folder that exists"
    raise SourceError(f"{text!r:.100} is no source: {guess}{'?' if near else '.'}")


def _hub(name: str, options: SourceOptions) -> Source:
    from streetvision.hub.client import Hub
    from streetvision.hub.files import parse_ref
    from streetvision.sources.hub import KNOWN_COLUMNS, Columns, HubSource
    from streetvision.sources.parquet import require_pyarrow

    require_pyarrow()
    ref = replace(parse_ref(name), kind="dataset")
    columns = KNOWN_COLUMNS.get(ref.repo, Columns())
    columns = replace(
        columns,
        image=options.image_column or columns.image,
        label=options.label_column or columns.label,
        group=(options.group_column,) if options.group_column else columns.group,
    )
    return HubSource(Hub(), ref, columns, options.words)


def _folder(path: str, options: SourceOptions) -> Source:
    from streetvision.sources.folder import open_folder

    return open_folder(_path(path), options.words, licence=options.licence or UNKNOWN_LICENCE)


def _release(path: str, _: SourceOptions) -> Source:
    from streetvision.sources.roadwork_release import RoadworkRelease

    return RoadworkRelease(_path(path))


def _mined(path: str, _: SourceOptions) -> Source:
    from streetvision.sources.mined import MinedSet

    return MinedSet(_path(path))


def _scenes(span: str, _: SourceOptions) -> Source:
    from streetvision.sources.scenes import DrawnScenes

    return DrawnScenes(span)


def _made(path: str, _: SourceOptions) -> Source:
    from streetvision.sources.made import MadePictures

    return MadePictures(_path(path))


def _path(text: str) -> Path:
    """Absolute: the dataset remembers it, and may be added to from another folder."""
    return expanded(text).absolute()


_OPENERS: Mapping[str, Callable[[str, SourceOptions], Source]] = {
    "hub": _hub,
    "folder": _folder,
    "roadwork-release": _release,
    "mined": _mined,
    "scenes": _scenes,
    "made": _made,
}
