"""`streetvision video`: where a video shows roadwork, as segments, a page and JSON."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streetvision.base.log_text import one_line
from streetvision.base.state_folder import only_one
from streetvision.cli.default_group import DefaultGroup
from streetvision.cli.shared import AsJson, StateDir, miner_settings, print_json, sigterm_as_ctrl_c
from streetvision.errors import EXIT_STOPPED, OperatorError
from streetvision.models.versions import BUNDLED
from streetvision.settings.settings import Settings

if TYPE_CHECKING:
    from streetvision.engine.types import Runner
    from streetvision.models.versions import ModelVersion
    from streetvision.video.finding import Video
    from streetvision.video.reading import VideoReader
    from streetvision.video.record import Record
    from streetvision.video.report import VideoReport
    from streetvision.video.scanning import Progress

BUCKETS = {"cpu": 1, "cuda": 32}
"""The one batch size that is warmed: on a CPU larger ones take long to warm and gain little."""
SCRATCH = "scratch"
"""In the folder of records: copies of S3's objects while they are read."""


class Group(DefaultGroup):
    """`video FILE` is `video scan FILE`."""

    default_command = "scan"


app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="Find roadwork in videos. `video FILE` is short for `video scan FILE`; `video scan --help` lists its options.",
)

Names = Annotated[
    list[str],
    typer.Argument(metavar="FILE...", help="Video files, folders of them, s3://BUCKET/KEY or s3://BUCKET/PREFIX/."),
]


@app.command()
def scan(
    names: Names,
    *,
    model: Annotated[
        str, typer.Option(help="Version, folder, hf:owner/name@tag or `bundled`. Default: the active version.")
    ] = "",
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N. Default: the miner's.")] = None,
    per_second: Annotated[float, typer.Option(min=0.01, max=60.0, help="Frames to answer a second, and cuts.")] = 2.0,
    keyframes: Annotated[
        bool,
        typer.Option("--keyframes", help="Decode keyframes alone: much faster, a picture every few seconds."),
    ] = False,
    pages: Annotated[
        Path | None, typer.Option(help="Folder for the timeline pages. Default: videos/ in the state folder.")
    ] = None,
    samples: Annotated[bool, typer.Option("--samples", help="With --json: every frame's probability as well.")] = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Find the stretches that show roadwork, and write a timeline page. The same command goes on where it stopped."""
    settings = miner_settings(state_dir)
    require_av()
    if pages is not None and not pages.is_dir():
        raise OperatorError(f"{pages} is no folder: make it, or name another with --pages.")
    found = videos(names, settings)
    version = model_version(settings, model)
    from streetvision.video.choosing import SAMPLING

    sampling = replace(SAMPLING, per_second=per_second, looks_per_second=max(per_second, SAMPLING.looks_per_second))
    how = {"model": version.version, "sha256": version.sha256, "keyframes": keyframes, **asdict(sampling)}
    if settings.precision != "default":  # answers of another precision are others
        how["precision"] = settings.precision
    opened = cache(lambda: _runner(version, settings, device or settings.device))
    failed = 0
    with only_one(records_folder(settings), "video-scan"), stopped_in_words():
        for video in found:
            try:
                report = _scanned(video, settings, opened, how, pages)
            except OperatorError as error:
                if len(found) == 1:
                    raise
                failed += 1
                typer.echo(one_line(f"{video.identity.uri}: {error}"), err=True)
                continue
            _show(report, samples=samples, as_json=as_json)
    if failed:
        raise typer.Exit(1)


@app.command("list")
def list_videos(as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """The videos that were scanned, with what was found."""
    from streetvision.video.record import open_record, record_files

    files = record_files(miner_settings(state_dir).state_dir)
    for path in files:
        with open_record(path) as record:
            if not record.begun:
                continue
            fields = _list_fields(record)
        if as_json:
            print_json(fields)
        else:
            state = f"{fields['segments']} segments" if fields["complete"] else "not scanned to its end"
            sys.stdout.write(one_line(f"{state:<24} {fields['frames']:>8,} frames  {fields['video']}") + "\n")
    if not files:
        typer.echo("no videos yet: streetvision video FILE", err=True)


def require_av() -> None:
    """OperatorError without the extra."""
    if find_spec("av") is None:
        raise OperatorError("videos need the extra `video`, and PyAV is not there: pip install 'streetvision[video]'")


def records_folder(settings: Settings) -> Path:
    """Where records and pages lie."""
    from streetvision.video.record import VIDEOS

    return settings.state_dir / VIDEOS


def videos(names: Sequence[str], settings: Settings) -> list[Video]:
    """All that the operator named, each once; OperatorError with one sentence."""
    from streetvision.video.finding import find

    found: dict[str, Video] = {}
    for name in names:
        one = find(name, records_folder(settings) / SCRATCH)
        found |= {video.identity.uri: video for video in one.videos}
        if one.others:
            typer.echo(one_line(f"{name}: {len(one.videos)} videos, {one.others} other files left alone"), err=True)
    return list(found.values())


def model_version(settings: Settings, name: str) -> ModelVersion:
    """The model to ask; OperatorError. Without a name the active version, or the bundled one where none is."""
    from streetvision.miner.model_choice import named_model
    from streetvision.registry.registry import open_registry

    registry = open_registry(settings.state_dir)
    chosen = name or registry.active() or BUNDLED
    return named_model(replace(settings, model=replace(settings.model, choice=chosen)), registry)


@contextmanager
def stopped_in_words() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the work within by a sentence."""
    with sigterm_as_ctrl_c():
        try:
            yield
        except KeyboardInterrupt:
            typer.echo("stopped: what was answered is kept; run the same command again to go on", err=True)
            raise typer.Exit(EXIT_STOPPED) from None


def _runner(version: ModelVersion, settings: Settings, device: str) -> Runner:
    """In the miner's precision, on half the threads: the decoder needs the rest, and threads wait by spinning."""
    from streetvision.base.resources import usable_threads
    from streetvision.runner.devices import resolve_device  # torch takes seconds to import
    from streetvision.runner.opening import open_runner

    runner = open_runner(
        version.folder,
        device=device,
        buckets=(BUCKETS[resolve_device(device).type],),
        compile=False,
        threads=settings.threads or max(1, usable_threads() // 2),
        precision=settings.precision,
        verdicts=settings.state_dir / "precision",
    )
    runner.warmup(runner.buckets)
    return runner


def _scanned(
    video: Video, settings: Settings, opened: Callable[[], Runner], how: dict[str, Any], pages: Path | None
) -> VideoReport:
    from streetvision.video.record import open_record, record_path
    from streetvision.video.report import read_report

    path = record_path(settings.state_dir, video.identity)
    with open_record(path) as record:
        record.begin(video.identity, how)
        if not record.fact("illustrated"):
            _work(video, record, opened)
        report = read_report(record)
    write_page(report, (pages or path.parent) / f"{path.stem}.html")
    return report


def _work(video: Video, record: Record, opened: Callable[[], Runner]) -> None:
    from streetvision.video.opening import open_video
    from streetvision.video.scanning import scan as scan_video
    from streetvision.video.stills import illustrate

    uri = video.identity.uri
    with video.local() as path:
        with open_video(path, keyframes=record.fact("how")["keyframes"], name=uri) as reader:
            if not record.fact("complete"):
                runner = opened()  # after a look at the file: a broken one is told of at once
                with scan_progress(reader) as progress:
                    scan_video(reader, runner, record, sampling=_sampling(record), progress=progress)
        with open_video(path, exact=True, name=uri) as reader:
            illustrate(reader, record)
    record.set_facts(illustrated=True)


def _sampling(record: Record) -> Any:  # noqa: ANN401 - Sampling, which is imported late
    from streetvision.video.choosing import Sampling

    how = record.fact("how")
    return Sampling(**{name: how[name] for name in Sampling.__dataclass_fields__})


@contextmanager
def scan_progress(reader: VideoReader) -> Iterator[Callable[[Progress], None]]:
    """A bar on stderr where that is a terminal, by the time within the video, with the time that is left."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from streetvision.video.clock import hms

    console, started = Console(stderr=True), time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(one_line(reader.name.rpartition("/")[2]), total=reader.facts.seconds, told="")
        length, first = hms(reader.facts.seconds or 0.0), list[float]()

        def heard(progress: Any) -> None:  # noqa: ANN401 - our Progress; rich has one of that name
            first.append(progress.time)
            speed = (progress.time - first[0]) / max(1e-3, time.monotonic() - started)
            told = f"{hms(progress.time)} of {length}, {progress.answered:,} frames, {speed:.0f}x"
            bar.update(task, completed=progress.time, told=told)

        yield heard


def write_page(report: VideoReport, path: Path) -> None:
    """Write the timeline and say where."""
    from streetvision.base.disk import sentences, write_atomically
    from streetvision.video.page import render_video

    with sentences(f"Writing {path}"):
        write_atomically(path, render_video(report, time.time()).encode(errors="replace"))
    typer.echo(one_line(f"{path}: the timeline, to be opened in a browser"), err=True)


def _show(report: VideoReport, *, samples: bool, as_json: bool) -> None:
    from streetvision.video.report import report_fields, report_text

    if as_json:
        print_json(report_fields(report, samples=samples))
    else:
        sys.stdout.write(report_text(report) + "\n")
        sys.stdout.flush()


def _list_fields(record: Record) -> dict[str, Any]:
    return {
        "kind": "video",
        "video": record.fact("identity")["uri"],
        "model": record.fact("how")["model"],
        "complete": bool(record.fact("complete")),
        "frames": record.count(),
        "segments": len(record.segments()),
        "record": str(record.path),
    }
