"""`streetvision retrain rehearse`: the whole loop on this machine, with what could go wrong."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streetvision.base.log_text import joined, one_line
from streetvision.base.wording import duration
from streetvision.cli.retrain import app
from streetvision.cli.shared import AsJson, print_json, sigterm_as_ctrl_c
from streetvision.errors import EXIT_FAILED, EXIT_STOPPED, OperatorError

if TYPE_CHECKING:
    from streetvision.rehearsal.report import Report

Fields = Mapping[str, Any]
LONGEST = 80
"""Characters of a folder with a Unix socket in a folder below, whose whole name may have about 100."""


@app.command()
def rehearse(
    *,
    seed: Annotated[int, typer.Option(min=0, max=99, help="Other streets and another training.")] = 0,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Do it in this new folder and leave it, to look at the runs."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Rehearse: on the mock network the stream shifts, a run is promoted, a defect taken back, poison refused."""
    _require_packages()
    from streetvision.rehearsal.rehearsal import Rehearsal

    try:
        with sigterm_as_ctrl_c(), _folder(keep) as folder:
            report = Rehearsal(folder, print_json if as_json else _say, seed=seed).carry_out()
    except KeyboardInterrupt:
        typer.echo("stopped; nothing of it runs any more", err=True)
        raise typer.Exit(EXIT_STOPPED) from None
    if as_json:
        print_json({"event": "report", **asdict(report), "gain": report.gain, "problems": report.problems})
    else:
        typer.echo(report_page(report))
    raise typer.Exit(EXIT_FAILED if report.problems else 0)


def _require_packages() -> None:
    from streetvision.retrain.facts import missing_package

    if missing := missing_package():
        raise OperatorError(f"the package {missing} is missing: pip install 'streetvision[retrain]'")


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """A new one: what is drawn and learned here must not meet the miner's own."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="sv-rehearsal-") as name:
            yield Path(name)
        return
    if len(str(keep.resolve())) > LONGEST:
        raise OperatorError(f"{keep} is too long for the sockets in it: name a folder of at most {LONGEST} characters")
    try:
        keep.mkdir(parents=True)
    except OSError as error:
        raise OperatorError(f"{keep} cannot be made ({error.strerror}): name a folder that is not there yet") from error
    yield keep.resolve()


def _say(event: Fields) -> None:
    """What happens, as lines on stderr."""
    if event["event"] == "part":
        typer.echo(f"{duration(event['seconds']):>6}  {event['what']}", err=True)
    elif event["event"] == "ended":
        typer.echo(one_line(f"        {event['state']}: {event['reason']}"), err=True)
    elif event["event"] == "run" and event["what"].get("event") == "step":
        typer.echo(f"        step {event['what']['step']}", err=True)


ROWS = {
    "before": "by day, before",
    "without": "by night, without the loop",
    "with": "by night, with the loop",
    "with_by_day": "by day, with the loop",
}
PARTS = {
    "day": "by day",
    "night": "by night, before the run",
    "training": "by night, beside the training",
    "after": "by night, after the promotion",
}
RUNS = {
    "improvement": "labels of the night",
    "regression": "a model that says the contrary",
    "poison": "labels, half of them wrong",
}


def report_page(report: Report) -> str:
    """The tables, and what is not as it should be."""
    lines = [f"{'streets that nothing has seen':<32}  model     accuracy  MCC    expected reward"]
    for name, said in ROWS.items():
        one = report.figures[name]
        lines.append(f"{said:<32}  {one.model:<8}  {one.accuracy:>8.1%}  {one.mcc:.3f}  {one.reward:>15.3f}")
    lines += ["", f"{'what the validators asked':<32}  challenges  accuracy  reward  p50     p99"]
    lines += [_asked_line(said, asdict(report.asked[name])) for name, said in PARTS.items()]
    lines += ["", f"{'what a run was given':<32}  it was       should be"]
    lines += [f"{RUNS[run.name]:<32}  {run.state:<11}  {' or '.join(run.wanted)}" for run in report.endings]
    lines += ["", f"the loop is worth {report.gain:+.3f} of reward here; it took {duration(report.seconds)}"]
    return joined([*lines, *(f"not as it should be: {one}" for one in report.problems)])


def _asked_line(said: str, asked: Fields) -> str:
    if not asked["answered"]:
        return f"{said:<32}  {asked['challenges']:>10}"
    times = f"{asked['p50_ms']:>4.0f} ms  {asked['p99_ms']:>4.0f} ms"
    return f"{said:<32}  {asked['challenges']:>10}  {asked['accuracy']:>8.1%}  {asked['reward']:>6.3f}  {times}"
