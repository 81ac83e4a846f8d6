"""`streetvision replay`: what would a model answer to the images that were logged?"""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from typing import Annotated

import typer

from streetvision.cli.log_options import MaxScore, MinScore, Since, Status, Until, Validator, log_filter, log_folder
from streetvision.cli.shared import AsJson, StateDir, miner_settings, print_json, progress_bar
from streetvision.errors import OperatorError
from streetvision.miner.model_choice import choose_checkpoint
from streetvision.models.versions import BUNDLED
from streetvision.prediction_log.comparison import Answered, compare
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.replay_report import answer_fields, nothing_replayed, replay_report, summary_fields


def replay(
    *,
    model: Annotated[str, typer.Option(help="Version, folder, hf:owner/name@tag, or `bundled`.")] = BUNDLED,
    logged_model: Annotated[
        str | None, typer.Option(help="Only rows that this model version answered.", metavar="VERSION")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the newest so many rows with an image.")] = None,
    unanswered: Annotated[bool, typer.Option("--unanswered", help="Also rows that were refused.")] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N. Default: the miner's.")] = None,
    compile: Annotated[bool | None, typer.Option(help="Compile the model. Default: as the miner does.")] = None,
    batch: Annotated[int, typer.Option(min=1, max=64, help="Images at once; 1 repeats bit for bit.")] = 1,
    tolerance: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Largest difference that is the same probability.")
    ] = None,
    movers: Annotated[int, typer.Option(min=0, help="How many of the biggest movers to list.")] = 10,
    check: Annotated[bool, typer.Option("--check", help="Exit code 1 unless the log is reproduced.")] = False,
    since: Since = None,
    until: Until = None,
    validator: Validator = None,
    min_score: MinScore = None,
    max_score: MaxScore = None,
    status: Status = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Answer logged images again and compare: the same version should repeat itself, another shows what it changes."""
    settings = miner_settings(state_dir)
    choice = log_filter(
        since=since,
        until=until,
        validator=validator,
        model=logged_model,
        min_score=min_score,
        max_score=max_score,
        status=status,
    )
    # On a machine without a GPU each compilation would say so.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    device = device or settings.device
    with LogReader(log_folder(settings)) as reader:
        checkpoint = choose_checkpoint(replace(settings, model=replace(settings.model, choice=model)))
        from streetvision.miner.from_settings import decode_limits
        from streetvision.prediction_log.replay import ReplayOptions, count_chosen, replay_log, tolerance_on  # torch

        options = ReplayOptions(choice, limit, unanswered, batch)
        with progress_bar("replaying", count_chosen(reader, options)) as progress:
            done = replay_log(
                reader,
                checkpoint,
                options,
                device=device,
                compile=settings.compile if compile is None else compile,
                threads=settings.threads,
                precision=settings.precision,
                verdicts=settings.state_dir / "precision",
                runner=settings.runner,
                limits=decode_limits(settings),
                on_answer=_print_answer if as_json else _keep_quiet,
                progress=progress,
            )
    if not done.answers:
        raise OperatorError(nothing_replayed(done.tally))
    comparison = compare(
        done.answers, tolerance=tolerance_on(device) if tolerance is None else tolerance, movers=movers
    )
    if as_json:
        print_json(summary_fields(done, comparison))
    else:
        sys.stdout.write(replay_report(done, comparison) + "\n")
    if check and not (comparison.reproduction and comparison.reproduction.good):
        raise typer.Exit(1)


def _print_answer(answered: Answered) -> None:
    print_json({"kind": "answer", **answer_fields(answered)})


def _keep_quiet(_: Answered) -> None:
    """The report comes at the end."""
