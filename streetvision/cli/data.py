"""`streetvision data`: labelled pictures from many sources, checked, split and kept for training and judging."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streetvision.base.log_text import one_line
from streetvision.cli.shared import AsJson, StateDir, miner_settings, print_json, progress_bar, sigterm_as_ctrl_c
from streetvision.errors import EXIT_STOPPED
from streetvision.settings.settings import Settings

if TYPE_CHECKING:
    from streetvision.engine.types import Runner
    from streetvision.sources.adding import AddReport
    from streetvision.sources.source import Source
    from streetvision.sources.splitting import Shares
    from streetvision.sources.store import DatasetStore
    from streetvision.sources.summary import Summary

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of a dataset; `streetvision data list` shows them.")]
Model = Annotated[
    str, typer.Option(help="Model whose embeddings are compared: version, folder, hf:owner/name@tag, or `bundled`.")
]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N. Default: the miner's.")]

app = typer.Typer(
    no_args_is_help=True, help="Labelled pictures for training and judging: add, check, count and remove datasets."
)


@app.command()
def add(
    *,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="roadwork (the subnet's public set), hub:OWNER/NAME, folder:PATH or a path, roadwork-release:PATH, "
            "mined:PATH, scenes:FIRST-LAST, made:PATH.",
        ),
    ],
    name: Annotated[str, typer.Option(help="Of the dataset, which is made if there is none.")],
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many pictures of each source, this time.")
    ] = None,
    image_column: Annotated[str, typer.Option(help="Of a set on the hub. Default: image.")] = "",
    label_column: Annotated[str, typer.Option(help="Of a set on the hub. Default: label.")] = "",
    group_column: Annotated[str, typer.Option(help="Of a set on the hub: what was taken together.")] = "",
    positive: Annotated[
        list[str] | None,
        typer.Option(help="A label that means roadwork, where the usual words do not do; every other then means none."),
    ] = None,
    licence: Annotated[str, typer.Option(help="Of a folder's pictures, where no manifest names it.")] = "",
    model: Annotated[str, typer.Option(help="Also join near duplicates by this model's embeddings.")] = "",
    device: Device = None,
    val: Annotated[float, typer.Option(min=0.0, max=0.5, help="Share of each class for validation.")] = 0.1,
    test: Annotated[float, typer.Option(min=0.0, max=0.5, help="Share of each class for testing.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Of the split of new pictures.")] = 0,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Read sources into a dataset; the same command again goes on where it stopped, and takes what is new."""
    from streetvision.sources.labels import words
    from streetvision.sources.named import SourceOptions, open_source
    from streetvision.sources.place import dataset_folder

    settings = miner_settings(state_dir)
    folder = dataset_folder(name, settings.state_dir)
    options = SourceOptions(image_column, label_column, group_column, words(positive or ()), licence)
    opened = [open_source(text, options) for text in dict.fromkeys(sources)]
    runner = _runner(settings, model, device) if model else None
    from streetvision.sources.splitting import Shares  # what reads pictures takes its time: mistyped words come first
    from streetvision.sources.store import writing

    with writing(folder) as store, sigterm_as_ctrl_c():
        try:
            stopped = _add_all(opened, store, limit, as_json)
        finally:  # what was read before a failure is to be of use too
            _arrange(store, Shares(val, test, seed), runner)
    _show_summary(folder, as_json)
    if stopped:
        typer.echo("stopped: what was read is kept; run the same command again to go on", err=True)
        raise typer.Exit(EXIT_STOPPED)


def _add_all(sources: list[Source], store: DatasetStore, limit: int | None, as_json: bool) -> bool:
    """Read one source after the other; whether Ctrl-C ended it."""
    for source in sources:
        try:
            report = _add_one(source, store, limit)
        except KeyboardInterrupt:
            return True
        if as_json:
            print_json({"kind": "added", **asdict(report)})
        else:
            from streetvision.cli.data_reports import added_line

            sys.stdout.write(added_line(report) + "\n")
    return False


def _add_one(source: Source, store: DatasetStore, limit: int | None) -> AddReport:
    from streetvision.cli.data_progress import add_progress
    from streetvision.sources.adding import add as read

    amount = source.amount(store.after(source))
    if limit is not None and amount.unit == "pictures":
        amount = replace(amount, count=min(limit, amount.count))
    with add_progress(source.name, amount) as progress:
        return read(source, store, limit=limit, progress=progress)


def _arrange(store: DatasetStore, shares: Shares, runner: Runner | None) -> None:
    from streetvision.sources.arranging import arrange

    if runner is not None:
        _embed(store, runner)
    arrange(store, shares)


def _embed(store: DatasetStore, runner: Runner) -> None:
    from streetvision.sources.embeddings import embed, waiting

    with progress_bar("embedding", len(waiting(store, runner.version))) as progress:
        embed(store, runner, progress=progress)


@app.command("list")
def list_datasets(as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """The datasets with their pictures by class, the newest figures."""
    from streetvision.cli.data_reports import summary_line
    from streetvision.sources.place import dataset_folder, dataset_names
    from streetvision.sources.summary import summarize

    state = miner_settings(state_dir).state_dir
    names = dataset_names(state)
    for name in names:
        summary = summarize(dataset_folder(name, state))
        if as_json:
            print_json(_fields(summary))
        else:
            sys.stdout.write(summary_line(summary) + "\n")
    if not names:
        typer.echo("no datasets yet: streetvision data add SOURCE --name NAME", err=True)


@app.command()
def stats(name: Name, as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """A dataset in numbers: classes by split, sources, licences, what was left out and why."""
    from streetvision.sources.place import existing_folder

    _show_summary(existing_folder(name, miner_settings(state_dir).state_dir), as_json)


@app.command()
def check(
    *,
    name: Name,
    model: Model = "bundled",
    device: Device = None,
    doubts: Annotated[int, typer.Option(min=0, help="How many doubtful labels to list.")] = 20,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Of the cross-validation that doubts labels.")] = 5,
    open_app: Annotated[bool, typer.Option("--open", help="Show them in the FiftyOne App. Ctrl-C ends it.")] = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Hash the files again, look for leaks between the splits and for labels that are probably wrong."""
    from streetvision.cli.data_reports import check_report
    from streetvision.sources.checking import check_dataset
    from streetvision.sources.place import existing_folder
    from streetvision.sources.store import writing
    from streetvision.sources.stored import StoredDataset

    settings = miner_settings(state_dir)
    folder = existing_folder(name, settings.state_dir)
    runner = _runner(settings, model, device)
    with writing(folder) as store, sigterm_as_ctrl_c():
        _embed(store, runner)
    dataset = StoredDataset(folder)
    with progress_bar("hashing", len(dataset.examples())) as progress:
        report = check_dataset(dataset, runner.version, folds=folds, progress=progress)
    listed = report.doubts[:doubts]
    if as_json:
        for doubt in listed:
            print_json({"kind": "doubt", **asdict(doubt)})
        print_json({"kind": "check", **asdict(replace(report, doubts=())), "doubts": len(report.doubts)})
    else:
        sys.stdout.write(check_report(report, listed) + "\n")
    if open_app:
        from streetvision.cli.data_app import show

        with sigterm_as_ctrl_c():
            show(dataset, report.doubts)
    if report.problems:
        raise typer.Exit(1)


@app.command()
def rm(name: Name, as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Delete a dataset with its copies of the pictures; the sources are left alone."""
    from streetvision.sources.place import remove_dataset

    remove_dataset(name, miner_settings(state_dir).state_dir)
    if as_json:
        print_json({"removed": name})
    else:
        sys.stdout.write(f"removed {name}\n")


def _runner(settings: Settings, model: str, device: str | None) -> Runner:
    """A model ready to embed."""
    from streetvision.miner.model_choice import choose_checkpoint
    from streetvision.runner.opening import open_runner  # torch takes seconds to import

    checkpoint = choose_checkpoint(replace(settings, model=replace(settings.model, choice=model)))
    runner = open_runner(checkpoint, device=device or settings.device, buckets=(1, 32), compile=False)
    runner.warmup(runner.buckets)
    return runner


def _show_summary(folder: Path, as_json: bool) -> None:
    from streetvision.cli.data_reports import summary_report
    from streetvision.sources.summary import summarize

    summary = summarize(folder)
    if as_json:
        print_json(_fields(summary))
        return
    sys.stdout.write(summary_report(summary) + "\n")
    for warning in summary.warnings():
        typer.echo(f"warning: {one_line(warning)}", err=True)


def _fields(summary: Summary) -> dict[str, Any]:
    return {"kind": "dataset", **asdict(summary), "warnings": summary.warnings()}
