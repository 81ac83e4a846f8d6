"""`streetvision video export`: frames of segments into a folder that `streetvision data add made:FOLDER` reads."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streetvision.base.log_text import one_line
from streetvision.cli.shared import AsJson, StateDir, miner_settings, print_json
from streetvision.cli.video import Names, app, require_av, stopped_in_words, videos
from streetvision.errors import ConfigError, OperatorError
from streetvision.settings.settings import Settings

if TYPE_CHECKING:
    from streetvision.video.finding import Video
    from streetvision.video.reading import VideoReader
    from streetvision.video.record import Record

LABELS = {"roadwork": True, "none": False}
Segments = Annotated[
    str, typer.Option(help="Numbers of segments as the scan printed them, separated by commas. Default: all.")
]


@app.command()
def export(
    names: Names,
    *,
    to: Annotated[Path, typer.Option(help="Folder for the frames and their list, made.jsonl; it is added to.")],
    segments: Segments = "",
    label: Annotated[
        str,
        typer.Option(help="What you saw there: roadwork or none. Default: the model's word, at less trust."),
    ] = "",
    every: Annotated[float, typer.Option(min=0.05, help="Seconds between the frames of a segment.")] = 1.0,
    most: Annotated[int, typer.Option(min=1, help="Frames of one segment.")] = 20,
    outside: Annotated[int, typer.Option(min=0, help="Frames without roadwork from the rest of each video.")] = 0,
    licence: Annotated[str, typer.Option(help="Of these pictures.")] = "",
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Write frames of segments as labelled pictures; near duplicates are left out. Scan the videos first."""
    settings = miner_settings(state_dir)
    require_av()
    if label and label not in LABELS:
        raise ConfigError(f"--label is roadwork or none, not {label!r:.40}")
    from streetvision.video.export import export as write
    from streetvision.video.frames import Wanted

    wanted = Wanted(numbers(segments), LABELS.get(label), every, most, outside, licence)
    with stopped_in_words():
        for video in videos(names, settings):
            with scanned(video, settings) as record, reading(video) as reader:
                done = write(reader, record, to, wanted)
            fields = {"video": video.identity.uri, "folder": str(to), "written": done.written, "alike": done.alike}
            _show({**fields, "contradicted": done.contradicted}, as_json=as_json)


def numbers(text: str) -> list[int]:
    """`1,3` as numbers; ConfigError."""
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ConfigError(f"--segments takes numbers such as 1,3, not {text!r:.40}") from None


@contextmanager
def scanned(video: Video, settings: Settings) -> Iterator[Record]:
    """The record of a video; OperatorError where it was not scanned to its end in its present state."""
    from dataclasses import asdict

    from streetvision.video.record import open_record, record_path

    path = record_path(settings.state_dir, video.identity)
    uri = video.identity.uri
    with ExitStack() as stack:
        record = stack.enter_context(open_record(path)) if path.exists() else None
        if record is None or not record.fact("complete"):
            raise OperatorError(f"{uri} was not scanned to its end: run `streetvision video {uri}` first.")
        if record.fact("identity") != asdict(video.identity):
            raise OperatorError(f"{uri} has changed since it was scanned: run `streetvision video {uri}` again.")
        yield record


@contextmanager
def reading(video: Video) -> Iterator[VideoReader]:
    """The video, decoded as it should look."""
    from streetvision.video.opening import open_video

    with video.local() as path, open_video(path, exact=True, name=video.identity.uri) as reader:
        yield reader


def _show(fields: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(fields)
        return
    left = f", {fields['alike']} left out as near duplicates" if fields["alike"] else ""
    against = f", segments {fields['contradicted']} left out: opinions differ" if fields["contradicted"] else ""
    line = f"{fields['video']}: {fields['written']} frames in {fields['folder']}{left}{against}"
    sys.stdout.write(one_line(line) + "\n")
    if fields["written"]:
        typer.echo(f"learn from them: streetvision data add made:{fields['folder']} --name NAME", err=True)
