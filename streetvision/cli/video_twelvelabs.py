"""`streetvision video ask` and `video search`: TwelveLabs' models on Bedrock, never without a yes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streetvision.base.log_text import one_line
from streetvision.base.state_folder import only_one
from streetvision.cli.agreeing import agree
from streetvision.cli.shared import AsJson, StateDir, miner_settings, print_json, progress_bar
from streetvision.cli.video import Names, app, records_folder, require_av, stopped_in_words, videos, write_page
from streetvision.cli.video_export import Segments, numbers, reading, scanned
from streetvision.errors import ConfigError, OperatorError
from streetvision.settings.settings import Settings

if TYPE_CHECKING:
    from streetvision.video.finding import Video
    from streetvision.video.marengo import Hit, Kept, Vector
    from streetvision.video.second_opinion import Account, Judge

Yes = Annotated[bool, typer.Option("--yes", help="Send and pay without asking.")]
WORK = "video-twelvelabs"
"""One at a time, or two would pay for the same segment and pass the budget together."""


@app.command()
def ask(
    names: Names,
    *,
    segments: Segments = "",
    judge: Annotated[
        str,
        typer.Option(help="pegasus looks at clips and says why; marengo compares frames with prompts, for less."),
    ] = "pegasus",
    yes: Yes = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Let a model of TwelveLabs judge the segments of scanned videos; shows the cost and asks before it sends any."""
    settings = _allowed(state_dir)
    from streetvision.video.second_opinion import judge_named

    asked = judge_named(judge, settings.video)
    with only_one(records_folder(settings), WORK):
        _ask(names, settings, segments, asked, yes=yes, as_json=as_json)


def _ask(names: list[str], settings: Settings, segments: str, asked: Judge, *, yes: bool, as_json: bool) -> None:
    from streetvision.video.second_opinion import unasked

    found, chosen = videos(names, settings), numbers(segments)
    unjudged, waiting, dollars = 0, 0, asked.once
    for video in found:
        with scanned(video, settings) as record:
            left = unasked(record, asked.model, chosen)
            count, most = asked.price(record, left)
            unjudged, waiting, dollars = unjudged + len(left), waiting + count, dollars + most
    account = _account(settings)
    if unjudged:
        _confirm(account, f"{waiting} {asked.calls} go to {asked.model}", dollars, yes=yes)
    lost = 0
    with stopped_in_words(), progress_bar("asking", waiting) as progress:
        for video in found:
            with scanned(video, settings) as record:
                left = unasked(record, asked.model, chosen)
                if left:
                    with reading(video) as reader:
                        lost += asked.ask(account, reader, record, left, heard=_heard(video), progress=progress)
    for video in found:
        _show_opinions(video, settings, as_json=as_json)
    _end(lost, waiting, asked.calls)


@app.command()
def search(
    words: Annotated[str, typer.Argument(metavar="[WORDS]", help='Such as "orange cones at night".')] = "",
    *,
    picture: Annotated[Path | None, typer.Option(help="Search by this picture in place of words.")] = None,
    within: Annotated[
        list[str] | None,
        typer.Option("--in", metavar="FILE", help="Search here, and embed what is not yet; may be repeated."),
    ] = None,
    every: Annotated[float, typer.Option(min=0.5, help="Seconds between the frames that are embedded.")] = 2.0,
    k: Annotated[int, typer.Option("-k", min=1, help="How many places to print.")] = 10,
    yes: Yes = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Find places in scanned videos by words or a picture, by TwelveLabs' Marengo; shows the cost and asks first."""
    settings = _allowed(state_dir)
    if bool(words) == (picture is not None):
        raise ConfigError('search by words or by --picture FILE: `streetvision video search "orange cones at night"`')
    shown = None if picture is None else _small_picture(picture)
    with only_one(records_folder(settings), WORK):
        found = videos(within or [], settings)
        _search(words, shown, found, settings, every, k=k, yes=yes, as_json=as_json)


def _search(
    words: str,
    shown: bytes | None,
    found: list[Video],
    settings: Settings,
    every: float,
    *,
    k: int,
    yes: bool,
    as_json: bool,
) -> None:
    from streetvision.video.marengo import nearest
    from streetvision.video.second_opinion import frame_dollars, unembedded

    if not found:
        _kept(found, settings)  # nothing is paid for a search in nothing
    waiting = 0
    for video in found:
        with scanned(video, settings) as record:
            waiting += len(unembedded(record, settings.video, every))
    account = _account(settings)
    wanted = settings.video
    query = wanted.search_price / 1000 if shown is None else frame_dollars(wanted)
    frames = f"{waiting:,} frames and " if waiting else ""
    _confirm(account, f"{frames}one search go to {wanted.marengo}", waiting * frame_dollars(wanted) + query, yes=yes)
    lost = 0
    with stopped_in_words(), progress_bar("embedding", waiting) as progress:
        for video in found:
            lost += _embed(video, settings, account, every, progress)
    kept = _kept(found, settings)
    _show_hits(nearest(_query(account, words, shown, query), kept, k), as_json=as_json)
    _end(lost, waiting, "frames")


def _end(lost: int, waiting: int, what: str) -> None:
    """A failure where anything got no answer, once the answers are shown."""
    if lost:
        raise OperatorError(
            f"{lost:,} of {waiting:,} {what} got no answer: the same command asks about them again, and pays again"
        )


def _allowed(state_dir: Path | None) -> Settings:
    """The settings, where they allow anything to be sent."""
    settings = miner_settings(state_dir)
    require_av()
    if not settings.video.twelvelabs:
        raise ConfigError(
            "TwelveLabs on Bedrock is off, as it costs money and sends pictures away: allow it with "
            "VIDEO_TWELVELABS=true in miner.env or the environment"
        )
    return settings


def _account(settings: Settings) -> Account:
    from streetvision.net.bedrock import open_bedrock
    from streetvision.settings.video import REGION
    from streetvision.video.second_opinion import Account
    from streetvision.video.spending import Spending

    spending = Spending(settings.state_dir, settings.video.budget)
    return Account(open_bedrock(settings.video.region, REGION), settings.video, spending)


def _confirm(account: Account, what: str, dollars: float, *, yes: bool) -> None:
    """Say what it costs; OperatorError beyond the budget, and without a yes."""
    from streetvision.base.spending import money, spent_of
    from streetvision.video.spending import DOLLARS

    spending = account.spending
    spending.require(dollars)
    spent = spent_of(spending.of_the_month(), spending.budget, currency=DOLLARS)
    most = money(dollars, DOLLARS)
    agree(f"{what}: at most {most} by the prices in your settings; {spent} spent this month", yes=yes)


def _heard(video: Video) -> Callable[[str], None]:
    return lambda sentence: typer.echo(one_line(f"{video.identity.uri}: {sentence}"), err=True)


def _embed(video: Video, settings: Settings, account: Account, every: float, progress: Callable[[int], None]) -> int:
    from streetvision.video.second_opinion import embed, unembedded

    with scanned(video, settings) as record:
        times = unembedded(record, settings.video, every)
        if not times:
            return 0
        with reading(video) as reader:
            return embed(account, reader, record, times, heard=_heard(video), progress=progress)


def _small_picture(path: Path) -> bytes:
    """A picture to search by, as a JPEG of our own."""
    from streetvision.engine.decode import DecodeLimits, decode
    from streetvision.engine.types import BadImage
    from streetvision.errors import reason
    from streetvision.video.scaling import jpeg

    try:
        return jpeg(decode(path.read_bytes(), size=640, limits=DecodeLimits(), resize="squash").array)
    except (OSError, BadImage) as error:
        raise OperatorError(f"{path} cannot be searched by: {reason(error)}.") from error


def _kept(found: list[Video], settings: Settings) -> list[Kept]:
    """The embeddings of these videos, or of all; OperatorError where there are none."""
    from streetvision.video.record import open_record, record_files, record_path

    state = settings.state_dir
    paths = [record_path(state, video.identity) for video in found] or record_files(state)
    kept: list[Kept] = []
    for path in paths:
        with open_record(path) as record:
            if record.begun:
                kept.append((record.fact("identity")["uri"], *record.vectors(settings.video.marengo)))
    if not any(len(times) for _, times, _ in kept):
        raise OperatorError("no video is embedded yet: name some with --in FILE")
    return kept


def _query(account: Account, words: str, shown: bytes | None, dollars: float) -> Vector:
    from streetvision.video.marengo import embed_picture, embed_words

    model = account.settings.marengo
    account.spending.count(model, dollars)
    return embed_words(account.bedrock, model, words) if shown is None else embed_picture(account.bedrock, model, shown)


def _show_hits(hits: list[Hit], *, as_json: bool) -> None:
    from streetvision.video.clock import hms

    for hit in hits:
        if as_json:
            print_json({"kind": "hit", "video": hit.uri, "time": round(hit.time, 3), "score": round(hit.score, 4)})
        else:
            sys.stdout.write(one_line(f"{hit.score:.3f}  {hms(hit.time):>8}  {hit.uri}") + "\n")


def _show_opinions(video: Video, settings: Settings, *, as_json: bool) -> None:
    from streetvision.video.report import read_report, report_fields, report_text

    with scanned(video, settings) as record:
        report, page = read_report(record), record.path.with_suffix(".html")
    write_page(report, page)
    if as_json:
        print_json(report_fields(report, samples=False))
    else:
        sys.stdout.write(report_text(report) + "\n")
