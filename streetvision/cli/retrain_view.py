"""How retraining is shown: events as they come, runs and plans as fields for programs and as lines for people."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

from streetvision.base.log_text import joined, one_line
from streetvision.base.spending import money
from streetvision.base.wording import clipped, took
from streetvision.cli.shared import print_json
from streetvision.cli.train_view import in_columns, shown, validation_line
from streetvision.retrain.step import Tell
from streetvision.retrain_log.reader import RetrainReader
from streetvision.retrain_log.records import RunRecord
from streetvision.retrain_log.store import OF_THE_RUN

if TYPE_CHECKING:
    from streetvision.retrain.planning import Plan
    from streetvision.settings.retrain import RetrainSettings

Fields = Mapping[str, Any]
HEADS = ("run", "state", "began", "took", "GPU hours", "version", "why")
PROGRESS_S = 1.0
"""Seconds between two words of progress to a program."""
_LONGEST = 80
"""Characters of a reason in the table; `show` has all of it."""


@contextmanager
def told(as_json: bool) -> Iterator[Tell]:
    """Shows a run's events: lines of JSON on stdout, or lines on stderr with bars where that is a terminal."""
    sparse = Sparse(time.monotonic)
    with shown(as_json) as view:

        def tell(event: Fields) -> None:
            if as_json:
                if sparse.wants(event):
                    print_json(event)
            elif event["event"] == "progress":
                view.advance(event["what"], *_reached(event))
            elif (line := _line(event)) is not None:
                typer.echo(one_line(line), err=True)

        yield tell


class Sparse:
    """Lets a program hear of progress once a second, and of all else always."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._heard: dict[tuple[str, str], float] = {}

    def wants(self, event: Fields) -> bool:
        """Whether to tell of it; the end of a step tells that it is over."""
        if event["event"] != "progress":
            return True
        key, now = (event["step"], event["what"]), self._monotonic()
        if now - self._heard.get(key, -PROGRESS_S) < PROGRESS_S:
            return False
        self._heard[key] = now
        return True


def _reached(event: Fields) -> tuple[int, int]:
    """How much of how much is done; a training counts steps of its optimiser."""
    if "at_step" in event:
        return event["at_step"], event["total_steps"]
    return event["done"], event["total"]


def _line(event: Fields) -> str | None:
    """An event as a line; None for those that the run's record tells better."""
    say = _LINES.get(event["event"])
    return None if say is None else say(event)


_LINES: Mapping[str, Callable[[Fields], str]] = {
    "run": lambda event: f"{'going on with' if event['resumed'] else 'run'} {event['run']}",
    "step": lambda event: f"step {event['step']}" + (f" (attempt {event['attempt']})" if event["attempt"] > 1 else ""),
    "training": lambda event: f"training {event['training']}",
    "validation": lambda event: validation_line({**event, "step": event["at_step"]}),
    "unreadable": lambda event: f"warning: {event['count']:,} pictures cannot be read and were left out",
    "warning": lambda event: f"warning: {event['why']}",
}


def record_fields(run: RunRecord, *, going: bool) -> dict[str, Any]:
    """A run; `going`: whether a process works on it."""
    return asdict(run) | {"state": run.shown_state(going=going)}


def run_fields(log: RetrainReader, run: RunRecord) -> dict[str, Any]:
    """A run with what it cost."""
    spent, going = log.spent(run=run.id), log.process() is not None
    return {**record_fields(run, going=going), "gpu_hours": spent.gpu_hours, "money": spent.money}


def whole_fields(log: RetrainReader, run: RunRecord) -> dict[str, Any]:
    """A run with its steps and its gates' verdicts too."""
    steps = [asdict(step) | {"done": step.done} for step in log.steps(run.id)]
    return {**run_fields(log, run), "steps": steps, "verdicts": [asdict(one) for one in log.verdicts(run.id)]}


def run_line(fields: Fields) -> str:
    """How a run ended, in a line or two."""
    why = f": {fields['reason']}" if fields["reason"] else ""
    return joined([f"{fields['id']}  {fields['state']}{why}", *([f"  {fields['remedy']}"] if fields["remedy"] else [])])


def runs_table(rows: Sequence[Fields]) -> str:
    """One line a run."""
    if not rows:
        return "no run yet: `streetvision retrain plan` says whether one would begin"
    return in_columns([HEADS, *(_cells(row) for row in rows)])


def _cells(row: Fields) -> tuple[str, ...]:
    why = clipped(one_line(row["reason"]), _LONGEST)
    began = row["started"][:16].replace("T", " ")
    lasted = took(row["started"], row["ended"])
    return row["id"], row["state"], began, lasted, f"{row['gpu_hours']:.2f}", row["version"] or "-", why


def run_page(fields: Fields) -> str:
    """All that is known of a run."""
    cost = f", {money(fields['money'])}" if fields["money"] else ""
    lines = [
        *run_line(fields).splitlines(),
        f"  began {fields['started']} by {fields['trigger']}, took {took(fields['started'], fields['ended'])}",
        f"  {fields['gpu_hours']:.2f} GPU hours{cost}",
        *(f"  {said} {fields[name]}" for name, said in _KNOWN.items() if fields[name]),
        "",
        *(line for step in fields["steps"] for line in _step_lines(step)),
    ]
    if fields["verdicts"]:
        lines += ["", "gates:", *(f"  {_passed(one)} {one['gate']}: {one['reason']}" for one in fields["verdicts"])]
    return joined(lines)


_KNOWN = {
    "baseline": "against version",
    "version": "made version",
    "fingerprint": "from pictures",
    "tracking_url": "curves at",
}


def _passed(verdict: Fields) -> str:
    unjudged = verdict["evidence"].get("outcome") == "unjudged"
    return "unjudged" if unjudged else "passed  " if verdict["passed"] else "refused "


def _step_lines(step: Fields) -> list[str]:
    """How it went, and of its output what fits on a line; `--json` has the rest."""
    again = f", attempt {step['attempts']}" if step["attempts"] > 1 else ""
    state = "done" if step["done"] else "not done"
    lines = [f"{step['name']:<10}  {state}, {took(step['started'], step['ended'])}{again}"]
    lines += [f"  {step['problem']}"] if step["problem"] else []
    plain = {name: value for name, value in (step["output"] or {}).items() if name not in OF_THE_RUN}
    return lines + [f"  {name}: {text}" for name, value in plain.items() if (text := _plain(value))]


def _plain(value: object) -> str:
    """A number or a text, shortened; empty for all else."""
    if isinstance(value, float):
        return f"{value:g}"
    return clipped(str(value), _LONGEST) if isinstance(value, str | int) else ""


def plan_fields(plan: Plan, wanted: RetrainSettings) -> dict[str, Any]:
    """What a run that is asked for now would do, and why or why not."""
    return {
        "goes": plan.goes(),
        "goes_by_force": plan.goes(force=True),
        "resumes": None if plan.resumes is None else {"run": plan.resumes.run.id, "step": plan.resumes.step},
        "gives_up": plan.gives_up,
        "recipe": wanted.recipe,
        "device": wanted.device,
        "deploy": wanted.deploy,
        "conditions": [asdict(one) for one in plan.conditions],
    }


def plan_page(fields: Fields) -> str:
    """The same for people."""
    lines = [_headline(fields)]
    for one in fields["conditions"]:
        lines.append(f"  {'yes' if one['met'] else 'no '}  {one['reason']}")
        lines += [f"       {one['change']}"] if one["change"] and not one["met"] else []
    if not fields["goes"] and fields["goes_by_force"]:
        lines.append("`streetvision retrain run --force` begins one all the same")
    if fields.get("next"):
        due = datetime.fromisoformat(fields["next"])
        lines.append(f"where `streetvision retrain serve` runs, it looks again at {due:%Y-%m-%d %H:%M} UTC")
    elif fields.get("next_problem"):
        lines.append(fields["next_problem"])
    return joined(lines)


def _headline(fields: Fields) -> str:
    if not fields["goes"]:
        return "no run would begin now:"
    if fields["resumes"] is not None:
        return f"a run would go on with {fields['resumes']['run']} at its step {fields['resumes']['step']}:"
    given_up = f" (the last one is given up: {fields['gives_up']})" if fields["gives_up"] else ""
    serves = "let the miner try the model and promote it" if fields["deploy"] else "publish the model and wait for you"
    return f"a new run would begin now{given_up}, train by {fields['recipe']} and, where the gates pass, {serves}:"
