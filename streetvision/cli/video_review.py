"""`streetvision video review`: frames of segments into the dataset of `streetvision mine`, where people label."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streetvision.base.log_text import one_line
from streetvision.cli.log_options import log_folder
from streetvision.cli.shared import AsJson, StateDir, miner_settings, print_json, progress_bar
from streetvision.cli.video import Names, app, require_av, stopped_in_words, videos
from streetvision.cli.video_export import Segments, numbers, reading, scanned
from streetvision.mining.sync_state import DATASET

if TYPE_CHECKING:
    from streetvision.cli.mine_session import Mine
    from streetvision.settings.settings import Settings
    from streetvision.video.finding import Video
    from streetvision.video.frames import Wanted


@app.command()
def review(
    names: Names,
    *,
    segments: Segments = "",
    every: Annotated[float, typer.Option(min=0.05, help="Seconds between the frames of a segment.")] = 1.0,
    most: Annotated[int, typer.Option(min=1, help="Frames of one segment.")] = 5,
    outside: Annotated[int, typer.Option(min=0, help="Frames without roadwork from the rest of each video.")] = 0,
    licence: Annotated[str, typer.Option(help="Of these pictures.")] = "",
    dataset: Annotated[str, typer.Option(help="Name of the FiftyOne dataset.")] = DATASET,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Put frames of segments where you label: the dataset of `streetvision mine`, view `video`. Each frame once."""
    settings = miner_settings(state_dir)
    require_av()
    from streetvision.video.frames import Wanted

    wanted = Wanted(numbers(segments), every=every, most=most, outside=outside, licence=licence)
    from streetvision.video.report import read_report
    from streetvision.video.review import wanted_places

    found, places = videos(names, settings), 0
    for video in found:  # slips are told before the database starts
        with scanned(video, settings) as record:
            places += len(wanted_places(record, read_report(record), wanted))
    with stopped_in_words(), progress_bar("decoding frames", places) as progress:
        done, waiting = _review(found, wanted, settings, dataset, progress)
    for fields in done:
        _show(fields, as_json=as_json)
    named = "" if dataset == DATASET else f" --dataset {dataset}"
    typer.echo(f"{waiting:,} frames to look at: streetvision mine app --view video{named}", err=True)


def _review(
    found: list[Video], wanted: Wanted, settings: Settings, dataset: str, progress: Callable[[int], None]
) -> tuple[list[dict[str, Any]], int]:
    """What became of each video's frames, and how many frames the dataset has now."""
    from streetvision.base.state_folder import only_one
    from streetvision.cli.mine_session import Mine
    from streetvision.mining.database import database_sentences, open_fiftyone
    from streetvision.mining.dataset import create_dataset
    from streetvision.mining.sync_state import FOLDER
    from streetvision.mining.video_frames import save_frames_view

    fo = open_fiftyone()
    with database_sentences():
        with only_one(settings.state_dir / FOLDER, "sync"):
            mine = Mine(fo, create_dataset(fo, dataset, log_folder(settings)), settings)
        done = [_queued(video, wanted, mine, progress) for video in found]
        return done, save_frames_view(mine.dataset)


def _queued(video: Video, wanted: Wanted, mine: Mine, progress: Callable[[int], None]) -> dict[str, Any]:
    from streetvision.mining.video_frames import add_frames, known_frames
    from streetvision.video.review import ReviewFrames

    known = known_frames(mine.fo, mine.dataset, video.identity.uri)
    with scanned(video, mine.settings) as record, reading(video) as reader:
        frames = ReviewFrames(reader, record, wanted, known, progress)
        added = add_frames(mine.fo, mine.dataset, mine.pictures, frames, time.time())
    return {"video": video.identity.uri, "added": added, "already": frames.already, "alike": frames.alike}


def _show(fields: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json({"kind": "review", **fields})
        return
    there = f", {fields['already']} there already" if fields["already"] else ""
    left = f", {fields['alike']} left out as near duplicates" if fields["alike"] else ""
    sys.stdout.write(one_line(f"{fields['video']}: {fields['added']} frames to review{there}{left}") + "\n")
