"""`streetvision mine`: the log as a FiftyOne dataset; the hard pictures found, shown, labelled and exported."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streetvision.cli.mine_reports import export_report, hard_report, quality_report, rescore_report, sync_report
from streetvision.cli.mine_session import Mine, opened, sync_once
from streetvision.cli.oracle_session import agreed_oracle, known_opinions, with_oracle
from streetvision.cli.shared import AsJson, StateDir, miner_settings, print_json, progress_bar, sigterm_as_ctrl_c
from streetvision.errors import ConfigError, OperatorError
from streetvision.mining.app import ADDRESS, PORT, AppOptions, open_app
from streetvision.mining.schema import HARD_VIEW
from streetvision.mining.sync_state import DATASET
from streetvision.models.versions import BUNDLED

if TYPE_CHECKING:
    from streetvision.engine.types import Runner


_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_INTERVAL = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
SHORTEST_S = 1.0


def parse_interval(text: str) -> float:
    """Seconds of `30s`, `5m`, `2h` or `1d`; raises ConfigError for anything else and for less than SHORTEST_S."""
    match = _INTERVAL.fullmatch(text.strip().lower())
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if seconds < SHORTEST_S:
        raise ConfigError(f"{text!r} is no interval: give one such as 30s, 5m, 2h or 1d")
    return seconds


def repeat(
    work: Callable[[], None],
    interval_s: float,
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    tell: Callable[[str], None],
) -> None:
    """Do `work` now and then every `interval_s` from start to start; ends when `work` or `sleep` raises.

    An OperatorError is told and costs one round only: a database or a disk may come back. A round that took longer than
    the interval is followed by the next at once, never by two.
    """
    while True:
        started = clock()
        try:
            work()
        except OperatorError as error:
            tell(str(error))
        sleep(max(0.0, started + interval_s - clock()))


Name = Annotated[str, typer.Option("--dataset", help="Name of the FiftyOne dataset.")]
Distance = Annotated[
    float | None, typer.Option(min=0.0, max=1.0, help="Cosine distance up to which embeddings are the same picture.")
]

app = typer.Typer(no_args_is_help=True, help="Find, label and export the pictures worth learning from.")


@app.command()
def sync(
    *,
    every: Annotated[
        str | None, typer.Option(help="Go on, at this interval (30s, 5m, 2h), until Ctrl-C.", metavar="INTERVAL")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Look into the database even where nothing seems new.")] = False,
    dataset: Name = DATASET,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Import what is new in the prediction log. May be killed and repeated at any time."""
    interval = None if every is None else parse_interval(every)
    settings = miner_settings(state_dir)

    def once() -> None:
        fields = sync_once(settings, dataset, full=full)
        _show(fields, sync_report, as_json)

    if interval is None:
        once()
        return
    with _until_stopped():
        repeat(once, interval, clock=time.monotonic, sleep=time.sleep, tell=_tell)


@app.command()
def hard(
    *,
    k: Annotated[int, typer.Option("-k", min=1, help="How many pictures to pick.")] = 100,
    view: Annotated[str, typer.Option(help="Name of the saved view; an earlier one of this name goes.")] = HARD_VIEW,
    distance: Distance = None,
    pool: Annotated[int | None, typer.Option(min=1, help="Consider only the newest so many pictures.")] = None,
    ask_oracle: Annotated[
        bool, typer.Option("--oracle", help="Ask the oracle about the picks: it costs (docs/labelling.md).")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether the oracle's cost is right.")] = False,
    dataset: Name = DATASET,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Pick the pictures most worth a label, say why, and save them as a view. Run `mine sync` first."""
    from streetvision.mining.hard import HardOptions, mine_hard

    with opened(state_dir, dataset) as mine:
        oracle = agreed_oracle(with_oracle(state_dir), k, yes=yes) if ask_oracle else None
        options = HardOptions(k=k, view=view, **_given(distance=distance, pool=pool))
        judged = known_opinions(mine.settings)
        with _spinner() as step:
            report = mine_hard(mine.fo, mine.dataset, mine.pictures, options, oracle=oracle, judged=judged, step=step)
    fields = asdict(report)
    if as_json:
        for pick in fields.pop("picks"):
            print_json({"kind": "pick", **pick})
        print_json({"kind": "report", "picked": len(report.picks), **fields})
    else:
        sys.stdout.write(hard_report(fields) + "\n")


@app.command()
def quality(
    *,
    distance: Distance = None,
    dataset: Name = DATASET,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Report duplicates, corrupt files, odd exposures, blur and labels at odds; each kind becomes a saved view."""
    from streetvision.mining.quality import report_quality

    with opened(state_dir, dataset) as mine, progress_bar("measuring", len(mine.dataset)) as progress:
        report = report_quality(mine.fo, mine.dataset, progress=_steps(progress), **_given(distance=distance))
    _show(asdict(report), quality_report, as_json)


@app.command("app")
def show_app(
    *,
    view: Annotated[str, typer.Option(help="The saved view to open.")] = HARD_VIEW,
    everything: Annotated[bool, typer.Option("--all", help="Open the whole dataset, not a view.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 takes any free one.")] = PORT,
    address: Annotated[str, typer.Option(help="Address to listen on. The App has no password.")] = ADDRESS,
    remote: Annotated[bool, typer.Option("--remote", help="Do not open a browser here.")] = False,
    dataset: Name = DATASET,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Open the FiftyOne App, to look and to label: tag pictures roadwork, none or unsure. Ctrl-C ends it."""
    out = sys.stdout
    options = AppOptions(None if everything else view, address, port, remote)
    with (
        opened(state_dir, dataset) as mine,
        redirect_stdout(sys.stderr),  # the App's client prints when it has to wait for its server
        open_app(mine.fo, mine.dataset, options) as shown,
    ):
        if shown.warning:
            _tell(shown.warning)
        with redirect_stdout(out):
            _show({"url": shown.url, "pictures": shown.pictures}, _app_line, as_json)
        with _until_stopped():
            while True:
                time.sleep(3600.0)


@app.command()
def export(
    *,
    to: Annotated[
        Path | None, typer.Option(help="Folder of the versions. Default: training/ in the state folder.")
    ] = None,
    val_share: Annotated[float, typer.Option(min=0.0, max=0.9, help="Share of each class kept for validation.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Of the split of pictures that no version has placed yet.")] = 0,
    distance: Distance = None,
    dataset: Name = DATASET,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Write the labels made in the App as the next version of a training set, near duplicates on one side."""
    from streetvision.mining.export import ExportOptions, export_labels

    with opened(state_dir, dataset) as mine, progress_bar("exporting", len(mine.dataset)) as progress:
        options = ExportOptions(val_share=val_share, seed=seed, **_given(distance=distance))
        target = to or mine.settings.state_dir / "training"
        report = export_labels(mine.fo, mine.dataset, target, options, now=time.time(), progress=_steps(progress))
    _show({**asdict(report), "folder": str(report.folder)}, export_report, as_json)


@app.command()
def rescore(
    *,
    model: Annotated[str, typer.Option(help="Version, folder, hf:owner/name@tag, or `bundled`.")] = BUNDLED,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N. Default: the miner's.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the newest so many pictures.")] = None,
    dataset: Name = DATASET,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Answer and embed the pictures by another model version, so that `mine hard` can compare the versions."""
    from streetvision.miner.model_choice import choose_checkpoint
    from streetvision.mining.rescoring import unscored
    from streetvision.runner.opening import open_runner  # torch takes seconds to import

    with opened(state_dir, dataset) as mine:
        checkpoint = choose_checkpoint(replace(mine.settings, model=replace(mine.settings.model, choice=model)))
        runner = open_runner(checkpoint, device=device or mine.settings.device, buckets=(1, 8), compile=False)
        total = len(unscored(mine.fo, mine.dataset, runner.version, limit))
        with progress_bar("rescoring", total) as progress:
            report = asyncio.run(_rescore(mine, runner, limit, progress))
    _show(report, rescore_report, as_json)


async def _rescore(mine: Mine, runner: Runner, limit: int | None, progress: Callable[[int], None]) -> dict[str, Any]:
    from streetvision.engine.engine import Engine
    from streetvision.miner.from_settings import decode_limits
    from streetvision.mining.rescoring import rescore as answer_all

    engine = Engine(runner, limits=decode_limits(mine.settings), view_seconds=inf)
    await engine.start()
    try:
        report = await answer_all(mine.fo, mine.dataset, engine, runner.version, limit=limit, progress=progress)
    finally:
        await engine.close()
    return asdict(report)


@contextmanager
def _until_stopped() -> Iterator[None]:
    """Ctrl-C and SIGTERM are both a good end."""
    with sigterm_as_ctrl_c():
        try:
            yield
        except KeyboardInterrupt:
            _tell("stopped")


@contextmanager
def _spinner() -> Iterator[Callable[[str], None]]:
    """The step that is being worked on, on stderr where that is a terminal."""
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield status.update


def _steps(progress: Callable[[int], None]) -> Callable[[int, int], None]:
    """A bar hears of steps; the rooms tell how far they are."""
    before = 0

    def heard(done: int, _: int) -> None:
        nonlocal before
        progress(done - before)
        before = done

    return heard


def _given(**options: Any) -> dict[str, Any]:  # noqa: ANN401 - of the options' own types
    """The options that were given; the others keep the defaults of their room."""
    return {name: value for name, value in options.items() if value is not None}


def _show(fields: dict[str, Any], text: Callable[[dict[str, Any]], str], as_json: bool) -> None:
    if as_json:
        print_json(fields)
    else:
        sys.stdout.write(text(fields) + "\n")
        sys.stdout.flush()


def _app_line(fields: dict[str, Any]) -> str:
    return f"{fields['pictures']:,} pictures at {fields['url']} (Ctrl-C ends it)"


def _tell(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
