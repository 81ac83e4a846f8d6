"""`streetvision retrain`: runs now or by night, what they did, and how to hold them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streetvision.cli.retrain_view import (
    plan_fields,
    plan_page,
    record_fields,
    run_fields,
    run_line,
    run_page,
    runs_table,
    told,
    whole_fields,
)
from streetvision.cli.shared import AsJson, StateDir, miner_settings, print_json, stopping
from streetvision.errors import EXIT_FAILED, EXIT_STOPPED, OperatorError, reason
from streetvision.retrain.step import Clock
from streetvision.retrain_log.reader import RetrainReader
from streetvision.retrain_log.records import RunRecord, RunState
from streetvision.retrain_log.schema import FOLDER, SCHEDULE_LOCK
from streetvision.retrain_log.store import RetrainStore

if TYPE_CHECKING:
    from streetvision.settings.settings import Settings

PATIENCE_S = 300.0
"""Longest wait for a run that was asked to stop."""

app = typer.Typer(
    no_args_is_help=True, help="Retrain the model on new labels, by night or now: gates decide whether it serves."
)


@app.command()
def run(
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Though there are too few labels, a pause or a halted subnet.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Leave a run that ended early behind.")] = False,
    scheduled: Annotated[
        bool, typer.Option("--scheduled", help="Note in the history why no run began, as `serve` does; for cron.")
    ] = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Do one run to its decision, or go on with one that ended early; Ctrl-C stops it so that it can be resumed."""
    from streetvision.retrain.running import COMMAND, SCHEDULE, Asked, Surroundings, retrain
    from streetvision.retrain.steps.table import parts

    settings = miner_settings(state_dir)
    asked = Asked(SCHEDULE if scheduled else COMMAND, force=force, fresh=fresh)
    with told(as_json) as tell, stopping("stopping; what was learned is kept") as asked_to_stop:
        result = retrain(asked, settings, parts(), Surroundings(_clock(), tell, asked_to_stop))
    if result.run is None:
        fields = {"event": "no_run", **plan_fields(result.plan, settings.retrain)}
        _show(fields, plan_page, as_json)
        raise typer.Exit(EXIT_FAILED if result.plan.faulty else 0)
    _show({"event": "end", **record_fields(result.run, going=False)}, run_line, as_json)
    raise typer.Exit(_exit_code(result.run))


@app.command()
def serve(state_dir: StateDir = None) -> None:
    """Begin a run whenever --retrain.schedule says so, until Ctrl-C or SIGTERM; a service manager keeps it alive."""
    from streetvision.base.state_folder import only_one
    from streetvision.retrain import schedule

    settings = miner_settings(state_dir)
    wanted = settings.retrain
    command = [sys.executable, "-m", "streetvision.cli", "retrain", "run", "--scheduled"]
    if state_dir is not None:
        command += ["--state_dir", str(settings.state_dir)]
    store = RetrainStore(settings.state_dir / FOLDER)
    with only_one(store.folder, SCHEDULE_LOCK, remedy="one is enough: stop it first, or leave it"):
        schedule.serve(wanted.schedule, wanted.jitter_minutes * 60, command, _say, lambda time: _note_next(store, time))


@app.command()
def plan(as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Print whether a run would begin now and why or why not, what it would do, and when the next one is due."""
    from streetvision.retrain.facts import gather, with_labels
    from streetvision.retrain.planning import make_plan
    from streetvision.retrain.steps.table import parts

    settings = miner_settings(state_dir)
    log, clock = _log(settings), _clock()
    known = parts()
    facts = gather(settings, log, known.check, now=clock.now(), alone=False)
    facts = with_labels(facts, settings, log, known.count_labels)
    fields = plan_fields(make_plan(facts, settings.retrain), settings.retrain) | _next_run(settings)
    _show(fields, plan_page, as_json)


@app.command()
def history(
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many runs, the newest first.")] = 20,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Print the runs: when, how long, what they cost, how they ended and why."""
    log = _log(miner_settings(state_dir))
    rows = [run_fields(log, one) for one in log.runs(limit)]
    if not as_json:
        sys.stdout.write(runs_table(rows) + "\n")
        return
    for row in rows:
        print_json(row)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="[RUN]", help="A run as `history` prints it; default: the last.")] = "",
    *,
    report: Annotated[
        Path | None, typer.Option(help="Write a page with the curves of its training too.", metavar="FILE")
    ] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Print all that is known of a run: its steps, what went in, each gate's verdict, the decision and the cost."""
    settings = miner_settings(state_dir)
    log = _log(settings)
    found = _found(log, name)
    if report is not None:
        _write_report(settings, log, found, report)
    _show(whole_fields(log, found), run_page, as_json)


@app.command()
def stop(as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Stop the run that is going, and wait until it has; the next one goes on with it."""
    log = _log(miner_settings(state_dir))
    going, process = log.latest_begun(), log.process()
    if process is None:
        raise OperatorError("no run is going: `streetvision retrain history` says how the last ones ended")
    if going is None or going.state is not RunState.RUNNING:
        raise OperatorError(f"process {process} is still counting labels: try again in a moment")
    RetrainStore(log.folder).ask_to_stop(going.id, _clock().now())
    typer.echo(f"asked {going.id} to stop; it saves what it has learned", err=True)
    if not _waited(lambda: log.process() is None):
        raise OperatorError(
            f"{going.id} goes on after {PATIENCE_S:.0f} s: it will stop, or end process {log.process()}"
        )
    _show(run_fields(log, log.run(going.id) or going), run_line, as_json)


@app.command()
def pause(
    *,
    reason: Annotated[str, typer.Option(help="For yourself; `plan` shows it.")] = "",
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Begin no runs until `resume`; a run that is going goes on."""
    store = RetrainStore(_log(miner_settings(state_dir)).folder)
    store.pause(_clock().now(), reason)
    paused = store.paused()
    since = paused.since if paused else ""
    _show({"paused": True, "since": since}, lambda _: f"paused since {since}", as_json)


@app.command()
def resume(as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """End a pause: runs begin again by the schedule."""
    RetrainStore(_log(miner_settings(state_dir)).folder).unpause()
    _show({"paused": False}, lambda _: "runs begin again by the schedule", as_json)


def _write_report(settings: Settings, log: RetrainReader, found: RunRecord, report: Path) -> None:
    from streetvision.base.disk import write_atomically
    from streetvision.retrain.retention import training_of, validations_of
    from streetvision.retrain.run_page import RunStory, render_run

    validations = validations_of(settings.state_dir, training_of(log, found.id))
    going = log.process() is not None
    story = RunStory(found, log.steps(found.id), log.verdicts(found.id), log.spent(run=found.id), validations, going)
    try:
        write_atomically(report, render_run(story, time.time()))
    except OSError as error:
        raise OperatorError(f"{report} cannot be written ({reason(error)}): name another file with --report") from error
    typer.echo(f"wrote {report}", err=True)


def _show(fields: dict[str, Any], page: Callable[[dict[str, Any]], str], as_json: bool) -> None:
    if as_json:
        print_json(fields)
    else:
        sys.stdout.write(page(fields) + "\n")


def _exit_code(ended: RunRecord) -> int:
    """A refusal is the gates at work, not a failure."""
    codes = {RunState.FAILED: EXIT_FAILED, RunState.INTERRUPTED: EXIT_FAILED, RunState.STOPPED: EXIT_STOPPED}
    return codes.get(ended.state, 0)


def _log(settings: Settings) -> RetrainReader:
    return RetrainReader(settings.state_dir / FOLDER)


def _found(log: RetrainReader, name: str) -> RunRecord:
    found = log.run(name) if name else log.latest()
    if found is not None:
        return found
    there = ", ".join(one.id for one in log.runs(10))
    if not there:
        raise OperatorError("there is no run yet: `streetvision retrain plan` says whether one would begin")
    raise OperatorError(f"there is no run {name!r:.100}; the last ones are {there}")


def _next_run(settings: Settings) -> dict[str, Any]:
    """When `serve` begins the next run; it is asked for by no one else."""
    from streetvision.retrain.schedule import next_time

    try:
        due = next_time(settings.retrain.schedule, datetime.now(UTC)).isoformat(timespec="minutes")
    except OperatorError as error:
        return {"next": None, "next_problem": str(error)}
    return {"next": due, "next_problem": ""}


def _note_next(store: RetrainStore, time: str) -> None:
    """For status and page, which the schedule can do without."""
    try:
        store.note_next(time)
    except OperatorError as error:
        _say(str(error))


def _waited(over: Callable[[], bool]) -> bool:
    until = time.monotonic() + PATIENCE_S
    while not over():
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True


def _say(text: str) -> None:
    typer.echo(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {text}", err=True)


def _clock() -> Clock:
    return Clock(lambda: datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic, time.sleep)
