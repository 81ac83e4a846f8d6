"""`streetvision evaluate`: how good a model is, by itself or against another, and what it may expect to earn."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streetvision.base.disk import sentences, write_atomically
from streetvision.base.log_text import one_line
from streetvision.cli.shared import AsJson, StateDir, check_page, miner_settings, print_json, progress_bar
from streetvision.errors import OperatorError
from streetvision.miner.model_choice import check_model, choose_checkpoint
from streetvision.models.versions import is_version
from streetvision.registry.registry import open_registry
from streetvision.settings.settings import Settings

if TYPE_CHECKING:
    from streetvision.evaluation.judging import Judged, Plan, Report, Shown

ACTIVE = "active"
ALL = "all"
SPLITS = ("train", "val", "test", ALL)


def evaluate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Version, folder, hf:owner/name@tag, `bundled`, or `active`.")
    ],
    data: Annotated[list[str], typer.Argument(metavar="DATA...", help="Datasets, or folders of labelled pictures.")],
    *,
    against: Annotated[
        str | None, typer.Option(metavar="OTHER", help="Compare with this model on the same pictures.")
    ] = None,
    split: Annotated[str, typer.Option(help=f"Judge on this split: {', '.join(SPLITS)}.")] = "test",
    robustness: Annotated[
        int, typer.Option(min=0, metavar="N", help="Show up to N pictures again distorted, sideways and small.")
    ] = 0,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report as one HTML page, with pictures.")
    ] = None,
    calibrate: Annotated[
        str | None,
        typer.Option(metavar="X.Y.Z", help="Fit temperature and threshold to the split `val`, as this new version."),
    ] = None,
    positive_share: Annotated[
        float, typer.Option(min=0.01, max=0.99, help="Share of challenges that show roadwork, for the reward.")
    ] = 0.5,
    silent: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of challenges without an answer, for the reward.")
    ] = 0.0,
    late: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of answers that come too late, for the reward.")
    ] = 0.0,
    views: Annotated[
        bool, typer.Option("--views", help="With the model's test-time views and further members.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N. Default: the miner's.")] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Judge a model on labelled pictures: accuracy, MCC, AUC, calibration, expected reward; or against another one."""
    settings = miner_settings(state_dir)
    if calibrate is not None:
        _check_calibrate(settings, calibrate, data, other=against is not None or report is not None)
    _check(split, report)
    models = [_named(settings, name) for name in (model, against) if name is not None]
    for named in models:
        check_model(named)
    shown = [_opened(name, settings, ALL if calibrate else split) for name in data]
    folder, *rivals = [choose_checkpoint(named) for named in models]
    from streetvision.evaluation.judging import Plan, Report
    from streetvision.evaluation.predictions import Serving
    from streetvision.evaluation.reward import Assumptions
    from streetvision.miner.from_settings import decode_limits

    serving = Serving(device or settings.device, decode_limits(settings), views)
    plan = Plan(Assumptions(positive_share, silent, late), robustness, serving)
    if calibrate is not None:
        from streetvision.cli.evaluate_calibration import calibrate_model

        calibrate_model(open_registry(settings.state_dir), folder, shown[0], plan, calibrate, as_json=as_json)
    else:
        judged = _judged(folder, rivals[0] if rivals else None, shown, plan)
        _show(Report(model, against, judged, plan.assumed), report, as_json=as_json)


def _check(split: str, report: Path | None) -> None:
    """Tell of slips before anything is loaded."""
    if split not in SPLITS:
        raise OperatorError(f"There is no split {split!r}: name one of {', '.join(SPLITS)}.")
    if report is not None:
        check_page(report)


def _check_calibrate(settings: Settings, version: str, data: Sequence[str], *, other: bool) -> None:
    if other:
        raise OperatorError("--calibrate makes a new version and no report: evaluate that version afterwards.")
    if len(data) > 1:
        raise OperatorError("--calibrate fits to one dataset: name one.")
    if not is_version(version):
        raise OperatorError(f"{version!r} is no semantic version such as 1.0.0: name the new version so.")
    if version in [there.version for there in open_registry(settings.state_dir).versions()]:
        raise OperatorError(f"Model version {version} exists already: name another one with --calibrate.")


def _named(settings: Settings, name: str) -> Settings:
    """The settings under which `name` is the chosen model."""
    if name == ACTIVE:
        version = open_registry(settings.state_dir).active()
        if version is None:
            raise OperatorError("No version is marked as active: name one, as `streetvision models list` prints it.")
        name = version
    return replace(settings, model=replace(settings.model, choice=name))


def _opened(name: str, settings: Settings, split: str) -> Shown:
    from streetvision.sources.opening import open_dataset

    dataset = open_dataset(name, state=settings.state_dir)
    examples = dataset.examples(None if split == ALL else split)
    if not examples:
        raise OperatorError(f"{name} has no pictures in its split `{split}`: name another one with --split.")
    from streetvision.evaluation.judging import Shown  # brings torch, which a slip need not wait for

    return Shown(dataset.name, examples, dataset.fingerprint, len(getattr(dataset, "unusable", ())))


def _show(report: Report, page: Path | None, *, as_json: bool) -> None:
    from streetvision.evaluation.report_fields import report_fields
    from streetvision.evaluation.report_text import report_text

    _tell_unanswered(report.judged)
    if as_json:
        print_json(report_fields(report))
    else:
        sys.stdout.write(report_text(report) + "\n")
        sys.stdout.flush()
    if page is not None:  # after the figures, which a full disk is not to take along
        from streetvision.evaluation.report_page import render_report

        with sentences(f"Writing {page}"):
            write_atomically(page, render_report(report, time.time()).encode(errors="replace"))
        sys.stderr.write(f"{page}: the report, to be opened in a browser\n")


def _judged(folder: Path, rival: Path | None, shown: Sequence[Shown], plan: Plan) -> list[Judged]:
    from streetvision.evaluation.judging import judge_model

    pictures = [len(one.examples) for one in shown]
    total = sum(pictures) * (1 if rival is None else 2) + sum(min(count, plan.robustness) for count in pictures)
    with progress_bar("judging", total) as progress:
        return asyncio.run(judge_model(folder, rival, shown, plan, progress=progress))


def _tell_unanswered(judged: Sequence[Judged]) -> None:
    for one in judged:
        for example, why in one.answers.unanswered:
            sys.stderr.write(one_line(f"{example.path}: not answered ({why})") + "\n")
        if not len(one.sample):
            raise OperatorError(f"No picture of {one.shown.name} could be answered: see the reasons above.")
