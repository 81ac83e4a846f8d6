"""`streetvision label`: a larger model's labels, what they cost, how far they are believed, where they disagree."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streetvision.base.log_text import one_line
from streetvision.base.paths import expanded
from streetvision.cli.agreeing import agree
from streetvision.cli.log_options import Since, log_folder
from streetvision.cli.oracle_session import with_oracle
from streetvision.cli.shared import AsJson, StateDir, print_json, progress_bar, stopping
from streetvision.errors import EXIT_FAILED, EXIT_STOPPED, OperatorError

if TYPE_CHECKING:
    from streetvision.labelling.asking import AskReport
    from streetvision.labelling.pictures import Picture
    from streetvision.labelling.prompt import Prompt
    from streetvision.labelling.review import ReviewItem
    from streetvision.labelling.store import LabellingStore
    from streetvision.settings.settings import Settings
    from streetvision.sources.source import Unusable

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask whether the cost is right.")]
Sources = Annotated[
    list[str] | None,
    typer.Argument(
        help="`log` (the prediction log; the default), a dataset by name, or a folder.", metavar="SOURCE..."
    ),
]

app = typer.Typer(no_args_is_help=True, help="Ask a larger model for labels, and see where it disagrees.")


@app.command()
def run(
    sources: Sources = None,
    *,
    since: Since = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many pictures, the newest of the log.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Repeat what was lost on its way: it may be paid a second time.")
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Have pictures labelled: says what it will cost, asks, and goes on where it stopped. Ctrl-C ends it in order."""
    settings = with_oracle(state_dir)
    from streetvision.labelling.asking import ask_all
    from streetvision.labelling.shots import make_prompt
    from streetvision.labelling.store import asking_store

    prompt = make_prompt(settings.oracle, settings.state_dir)
    pictures = _pictures(sources or ["log"], settings, since, limit)
    with asking_store(settings.state_dir) as store:
        if again:
            store.allow_lost(prompt.asker)
        _agree(settings, prompt, store, pictures, yes=yes, as_json=as_json)
        with stopping("stopping; questions under way are awaited") as stop, _bar(len(pictures)) as progress:
            report = ask_all(settings.oracle, prompt, store, pictures, stop=stop, progress=progress)
    _end(report, as_json)


def _pictures(names: Sequence[str], settings: Settings, since: str | None, limit: int | None) -> list[Picture]:
    from rich.console import Console

    from streetvision.labelling.pictures import LOG, app_labels, distinct, named_pictures
    from streetvision.labelling.reading import TRAINING

    labels = app_labels(settings.state_dir / TRAINING)
    left_out: list[Unusable] = []

    def every() -> Iterator[Picture]:
        for name in dict.fromkeys(names):
            if name == LOG:
                yield from _of_log(settings, since, labels)
            else:
                yield from named_pictures(name, settings.state_dir, left_out.append)

    with Console(stderr=True).status("looking for pictures"):
        found = distinct(every(), limit)
    if left_out:
        such = f"{one_line(left_out[0].key)} ({left_out[0].reason})"
        typer.echo(f"warning: {len(left_out):,} files are left out, such as {such}", err=True)
    return found


def _of_log(settings: Settings, since: str | None, labels: dict[str, bool]) -> Iterator[Picture]:
    from streetvision.labelling.pictures import log_pictures
    from streetvision.prediction_log.reader import LogReader
    from streetvision.prediction_log.selection import select

    with LogReader(log_folder(settings)) as reader:
        yield from log_pictures(reader, select(time.time(), since=since), labels)


def _agree(
    settings: Settings, prompt: Prompt, store: LabellingStore, pictures: Sequence[Picture], *, yes: bool, as_json: bool
) -> None:
    """Say what it will cost, and have the operator agree."""
    from streetvision.cli.label_reports import estimate_line
    from streetvision.labelling.budget import price_warning
    from streetvision.labelling.estimate import estimate

    found = estimate(settings.oracle, prompt, store, pictures)
    if as_json:
        print_json({"kind": "estimate", "asker": prompt.asker, **asdict(found)})
    if warning := price_warning(settings.oracle, datetime.now(UTC).date()):
        typer.echo(f"warning: {warning}", err=True)
    agree(estimate_line(found, settings.oracle, prompt.asker), yes=yes or not found.questions)


@contextmanager
def _bar(total: int) -> Iterator[Callable[[AskReport], None]]:
    before = 0
    with progress_bar("asking", total) as advance:

        def heard(report: AskReport) -> None:
            nonlocal before
            advance(report.pictures - before)
            before = report.pictures

        yield heard


def _end(report: AskReport, as_json: bool) -> None:
    from streetvision.cli.label_reports import run_report
    from streetvision.labelling.asking import STOPPED

    if as_json:
        print_json({"kind": "report", **asdict(report)})
    else:
        sys.stdout.write(run_report(asdict(report)) + "\n")
    if report.ended == STOPPED:
        typer.echo("stopped: what was answered is kept; run the same command again to go on", err=True)
        raise typer.Exit(EXIT_STOPPED)
    if report.ended:
        typer.echo(report.ended, err=True)
        raise typer.Exit(EXIT_FAILED)


@app.command()
def review(
    *,
    k: Annotated[int, typer.Option("-k", min=1, help="How many pictures to list.")] = 100,
    dataset: Annotated[str | None, typer.Option(help="FiftyOne dataset that gets the view; none: only list.")] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """List where oracle, miner and people disagree, what you should look at first on top; --dataset saves a view."""
    settings = with_oracle(state_dir)
    from streetvision.cli.label_reports import review_report
    from streetvision.labelling.reading import read_verdicts
    from streetvision.labelling.review import rank

    verdicts = read_verdicts(settings.oracle, settings.state_dir)
    items = rank((one for one in verdicts.pictures if one.picture.path.is_file()), k)
    shown = None if dataset is None else _save_view(verdicts.asker, items, dataset, state_dir)
    rows = [_row(item) for item in items]
    if as_json:
        for row in rows:
            print_json({"kind": "picture", **row})
        print_json({"kind": "review", "pictures": len(rows), "in_view": shown})
    else:
        sys.stdout.write(review_report(rows, shown) + "\n")


def _save_view(asker: str, items: Sequence[ReviewItem], dataset: str, state_dir: Path | None) -> int:
    from streetvision.cli.mine_session import opened
    from streetvision.mining.oracle_view import save_review

    with opened(state_dir, dataset) as mine:
        return save_review(mine.fo, mine.dataset, asker, items)


def _row(item: ReviewItem) -> dict[str, object]:
    one = item.verdict
    return {
        "sha256": one.picture.sha256,
        "path": str(one.picture.path),
        "urgency": round(item.urgency, 4),
        "why": item.why,
        "oracle": round(one.probability, 4),
        "miner": one.picture.probability,
        "human": one.picture.human,
        "objects": list(one.votes.objects),
        "reason": one.votes.remark,
    }


@app.command()
def stats(as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Print what the oracle said, what it cost, and how often it is wrong by your labels."""
    settings = with_oracle(state_dir)
    from streetvision.cli.label_reports import stats_report
    from streetvision.labelling.stats import read_stats

    found = read_stats(settings.oracle, settings.state_dir)
    if as_json:
        print_json(asdict(found))
    else:
        sys.stdout.write(stats_report(found, settings.oracle) + "\n")


@app.command()
def export(
    *,
    name: Annotated[str, typer.Option(help="Dataset that gets them; it is made if it is not there.")],
    source: Annotated[str, typer.Option(help="Whose pictures: `log`, or a folder that was labelled.")] = "log",
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Put the oracle's labels into a dataset to learn from, each with its measured trust; never those of people."""
    settings = with_oracle(state_dir)
    from streetvision.cli.data_progress import add_progress
    from streetvision.labelling.labelled import OracleLabels
    from streetvision.labelling.reading import read_verdicts
    from streetvision.sources.adding import add
    from streetvision.sources.arranging import arrange
    from streetvision.sources.place import dataset_folder
    from streetvision.sources.splitting import Shares
    from streetvision.sources.store import writing

    wanted = source if source == "log" else f"folder:{expanded(source).absolute()}"
    labels = OracleLabels(read_verdicts(settings.oracle, settings.state_dir), wanted)
    if not len(labels):
        raise OperatorError(
            "there is nothing to export: no picture of this source was answered and can be believed; "
            "`streetvision label stats` says why"
        )
    with (
        writing(dataset_folder(name, settings.state_dir)) as store,
        add_progress(labels.name, labels.amount()) as progress,
    ):
        report = add(labels, store, progress=progress)
        arrange(store, Shares(val=0.0, test=0.0))
    if as_json:
        print_json({"dataset": name, "read": report.read, "new": report.new})
    else:
        sys.stdout.write(f"{report.read:,} pictures in {name}, {report.new:,} new\n")
