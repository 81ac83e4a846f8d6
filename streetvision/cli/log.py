"""`streetvision log`: what the miner saw and answered."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from streetvision.cli.log_options import MaxScore, MinScore, Since, Status, Until, Validator, log_filter, log_folder
from streetvision.cli.shared import AsJson, StateDir, miner_settings, print_json, progress_bar
from streetvision.errors import OperatorError
from streetvision.prediction_log.destinations import open_destination
from streetvision.prediction_log.display import HEADER, row_line, row_page
from streetvision.prediction_log.export import ExportOptions, export_log, export_report
from streetvision.prediction_log.formats import Format, row_fields
from streetvision.prediction_log.reader import LogReader, follow
from streetvision.prediction_log.row import LogFilter, LogRow
from streetvision.prediction_log.stats_report import stats_fields, stats_report

Model = Annotated[str | None, typer.Option(help="Model version that answered.", metavar="VERSION")]

app = typer.Typer(no_args_is_help=True, help="Show and export the prediction log.")


@app.command()
def tail(
    *,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many of the newest rows.")] = 20,
    following: Annotated[bool, typer.Option("-f", "--follow", help="Go on with new rows until Ctrl-C.")] = False,
    since: Since = None,
    until: Until = None,
    validator: Validator = None,
    model: Model = None,
    min_score: MinScore = None,
    max_score: MaxScore = None,
    status: Status = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Print the newest rows, oldest first; MS is from the first byte to the reply, LEFT the seconds to spare."""
    choice = log_filter(
        since=since,
        until=until,
        validator=validator,
        model=model,
        min_score=min_score,
        max_score=max_score,
        status=status,
    )
    folder = _folder(state_dir)
    with LogReader(folder) as reader:
        newest = reader.last_id()
        rows = list(reader.rows(choice, newest_first=True, limit=lines))[::-1]
        if not as_json and (rows or following):
            sys.stdout.write(HEADER + "\n")
        for row in rows:
            _print_row(row, as_json)
        if not rows and not following:
            sys.stderr.write("no row passes these filters\n")
        after = max([newest, *(row.id for row in rows)])
        if following:
            _follow(folder, reader, choice, after, as_json)


@app.command()
def show(
    id: Annotated[int, typer.Argument(metavar="ID", help="A row's id, as `tail` prints it.")],
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Print every field of one row, and where its image lies."""
    with LogReader(_folder(state_dir)) as reader:
        row = reader.row(id)
        if row is None:
            raise OperatorError(f"there is no row {id}; the newest is {reader.last_id()}")
        path = reader.image_path(row.sha256)
    if as_json:
        print_json({**row_fields(row, embedding=True), "image_path": None if path is None else str(path)})
    else:
        sys.stdout.write(row_page(row, path) + "\n")


@app.command()
def stats(
    *,
    since: Since = None,
    until: Until = None,
    validator: Validator = None,
    model: Model = None,
    min_score: MinScore = None,
    max_score: MaxScore = None,
    status: Status = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Print counts, a histogram of the scores, latencies by stage, headroom, and what was dropped."""
    choice = log_filter(
        since=since,
        until=until,
        validator=validator,
        model=model,
        min_score=min_score,
        max_score=max_score,
        status=status,
    )
    with LogReader(_folder(state_dir)) as reader:
        figures = reader.stats(choice)
    if as_json:
        print_json(stats_fields(figures))
    else:
        sys.stdout.write(stats_report(figures) + "\n")


@app.command()
def export(
    destination: Annotated[str, typer.Argument(metavar="FOLDER|S3_URL", help="A folder, or s3://bucket/prefix.")],
    *,
    format: Annotated[Format, typer.Option(help="Of the table.")] = "parquet",
    images: Annotated[bool, typer.Option("--images", help="Also the images, as images/ab/cd/<sha256>.jpg.")] = False,
    embeddings: Annotated[bool, typer.Option("--embeddings", help="Also the pooled embeddings.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an export that is there.")] = False,
    endpoint_url: Annotated[
        str | None, typer.Option(help="Of an S3-compatible server. Default: AWS_ENDPOINT_URL.", metavar="URL")
    ] = None,
    since: Since = None,
    until: Until = None,
    validator: Validator = None,
    model: Model = None,
    min_score: MinScore = None,
    max_score: MaxScore = None,
    status: Status = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Write the rows as one table, with or without images, and a manifest that comes last."""
    choice = log_filter(
        since=since,
        until=until,
        validator=validator,
        model=model,
        min_score=min_score,
        max_score=max_score,
        status=status,
    )
    options = ExportOptions(format, images, embeddings, overwrite, choice)
    folder = _folder(state_dir)
    with (
        LogReader(folder) as reader,
        closing(open_destination(destination, endpoint_url=endpoint_url, log=folder)) as target,
        progress_bar("exporting", reader.count(choice)) as progress,
    ):
        manifest = export_log(reader, target, options, now=time.time(), progress=progress)
        report = export_report(manifest, str(target))
    if as_json:
        print_json(manifest)
    else:
        sys.stdout.write(report + "\n")


def _folder(state_dir: Path | None) -> Path:
    return log_folder(miner_settings(state_dir))


def _print_row(row: LogRow, as_json: bool) -> None:
    if as_json:
        print_json(row_fields(row))
    else:
        sys.stdout.write(row_line(row) + "\n")


def _follow(folder: Path, reader: LogReader, choice: LogFilter, after_id: int, as_json: bool) -> None:
    def another() -> LogReader:
        fresh = LogReader(folder)
        sys.stderr.write("the log's file was replaced; the new one is followed from its start\n")
        return fresh

    sys.stdout.flush()
    try:
        for row in follow(reader, choice, after_id=after_id, sleep=time.sleep, reopen=another):
            _print_row(row, as_json)
            sys.stdout.flush()
    except KeyboardInterrupt:
        return
