"""`streetvision models swap|shadow|canary|promote|rollback|status`: steer the models of the running miner."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from streetvision.cli.models import app
from streetvision.cli.shared import AsJson, StateDir, miner_settings, print_json, terminal_width
from streetvision.control.client import SOCKET_NAME, call
from streetvision.errors import EXIT_STOPPED, ConfigError

ProgressFields = Mapping[str, Any]

WORDS = {
    "load": "weights loaded",
    "warm": "warmed",
    "touch": "ready to serve",
    "check": "showing it the golden pictures",
    "switch": "switching",
}


def step_text(step: ProgressFields) -> str:
    """A step in words, such as `warmed batches of 8`."""
    text = WORDS.get(str(step.get("stage")), str(step.get("stage", "working")))
    return text if step.get("bucket") is None else f"{text}, batches of {step['bucket']}"


@contextmanager
def steps_shown(label: str) -> Iterator[Callable[[ProgressFields], None]]:
    """Yields what to call with each step; what is on the terminal goes when it is done."""
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        with _bar(console, label) as show:
            yield show
    else:
        yield _Lines(label, console).show


class _Lines:
    """A line for each step that is news: the miner repeats itself to show that it lives."""

    def __init__(self, label: str, console: Any) -> None:  # noqa: ANN401 - rich is imported where it is used
        self._label, self._console = label, console
        self._last: ProgressFields | None = None

    def show(self, step: ProgressFields) -> None:
        if step and step != self._last:
            self._last = dict(step)
            self._console.print(f"{self._label}: {step_text(step)}", highlight=False, markup=False, soft_wrap=True)


@contextmanager
def _bar(console: Any, label: str) -> Iterator[Callable[[ProgressFields], None]]:  # noqa: ANN401 - as above
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[step]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=None, step="")

        def show(step: ProgressFields) -> None:
            if step:
                bar.update(task, completed=step.get("done", 0), total=step.get("total") or None, step=step_text(step))

        yield show


Fields = Mapping[str, Any]
SHOWN = 8
"""Decisions; `--json` has all that the miner remembers."""


def status_report(fields: Fields, width: int | None = None) -> str:
    """The status as lines with a word in front; where a terminal's width is given, long ones go on below the text."""
    lines = list(_lines(fields))
    margin = 2 + max(len(word) for word, _ in lines)
    return "\n".join(line for word, text in lines for line in _wrapped(word, text, margin, width))


def _wrapped(word: str, text: str, margin: int, width: int | None) -> list[str]:
    line = f"{word:<{margin}}{text}".rstrip()
    if width is None:
        return [line]
    return textwrap.wrap(line, max(width, margin + 20), subsequent_indent=" " * margin, drop_whitespace=True) or [line]


def _lines(fields: Fields) -> Iterator[tuple[str, str]]:
    active, standby = fields["active"], fields["standby"]
    yield "serves", f"{_name(active)}, for {_age(active['for_s'])}; last minute: {_health(active['health'])}"
    if fields["stuck"]:
        yield "SICK", fields["stuck"]
    if standby:
        left = _age(standby["left_s"])
        yield "standby", f"{_name(standby)}, kept loaded for {left}: `streetvision models rollback` goes back at once"
    if fields["candidate"]:
        yield from _candidate(fields["candidate"])
    if fields["operation"]:
        operation = fields["operation"]
        yield "doing", f"{operation['name']}, for {_age(operation['for_s'])}{_step(operation['step'])}"
    for version, mark in fields["bad"].items():
        yield "bad", f"{version}, since {_when(mark['at'])}: {mark['why']}"
    for decision in fields["decisions"][-SHOWN:]:
        by = f" by {decision['by']}" if "by" in decision else ""
        yield "decided", f"{_when(decision['at'])}  {decision['event']} {decision['version']}{by}: {decision['why']}"


def _candidate(candidate: Fields) -> Iterator[tuple[str, str]]:
    does = "answers" if candidate["role"] == "canary" else "looks at"
    report = candidate["report"]
    since = f"since {_when(report['since'])}"
    yield candidate["role"], f"{_name(candidate)} {does} {100 * candidate['share']:g}% of the images, {since}"
    yield "", _comparison(report)
    for sentence in candidate["evidence"]:
        yield f"  {candidate['verdict']}", sentence


def _comparison(report: Fields) -> str:
    parts = [f"{report['samples']} images compared"]
    if report["samples"]:
        low, high = report["agreement_between"]
        parts.append(f"{report['agreement']:.1%} agree (surely {low:.1%} to {high:.1%})")
        parts.append(f"probabilities {report['probability_shift']['mean']:.3f} apart")
    own, beside = report["latency"]["p99"], report["active_latency"]["p99"]
    if own is not None and beside is not None:
        parts.append(f"p99 {own * 1e3:.0f} ms beside {beside * 1e3:.0f}")
    parts.append(f"{report['failed_images']} failed")
    return ", ".join(parts)


def _health(health: Fields) -> str:
    p99 = "" if health["p99"] is None else f", model p99 {health['p99'] * 1e3:.0f} ms"
    return f"{health['answered']} answered, {health['failed']} failed, {health['late']} late{p99}"


def _name(fields: Fields) -> str:
    return f"{fields['version']} ({fields['name']})"


def _step(step: Fields) -> str:
    counted = f" ({step['done']} of {step['total']})" if step.get("total") else ""
    return f": {step_text(step)}{counted}" if step else ""


def _when(at: str) -> str:
    return at[:19].replace("T", " ")


def _age(seconds: float) -> str:
    """Such as `42 s`, `12 min` or `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


Version = Annotated[str, typer.Argument(metavar="VERSION", help="A version as `models list` prints it.")]

Force = Annotated[bool, typer.Option("--force", help="Even if its gates or its health took this version off before.")]


@app.command()
def swap(version: Version, force: Force = False, as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Let another version answer: it is loaded, warmed and checked beside the old one, which serves until then."""
    _carry_out("swap", {"version": version, "force": force}, as_json, state_dir)


@app.command()
def shadow(
    version: Annotated[str | None, typer.Argument(metavar="VERSION", help="A version to look at.")] = None,
    share: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE", help="Part of the images that it sees, 20% or 0.2. Default: the miner's setting."
        ),
    ] = None,
    stop: Annotated[bool, typer.Option("--stop", help="End what is tried, without a verdict on it.")] = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Show a version images after the reply and compare its answers; nobody gets them."""
    if stop == (version is not None):
        raise ConfigError("name the version to look at, or end what is tried with --stop")
    if stop:
        _carry_out("stop_shadow", {}, as_json, state_dir)
    else:
        _carry_out("shadow", {"version": version, "share": share_of(share)}, as_json, state_dir)


@app.command()
def canary(
    version: Version,
    share: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Part of the images it answers, 10% or 0.1. Default: the miner's setting."),
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Let a version answer a share of the images, until its gates promote it or roll it back by themselves."""
    _carry_out("canary", {"version": version, "share": share_of(share), "force": force}, as_json, state_dir)


@app.command()
def promote(
    version: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="Default: what is tried as canary or shadow.")
    ] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Let the canary or shadow answer everything, whatever its gates say; or a version that was rolled back before."""
    _carry_out("promote", {"version": version}, as_json, state_dir)


@app.command()
def rollback(as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Take the canary out of the traffic; without one, go back to the last good version."""
    _carry_out("rollback", {}, as_json, state_dir)


@app.command()
def status(as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Which versions are loaded, what is done with them, what the gates say, and the latest decisions."""
    fields = call(_socket(state_dir), "status")
    if as_json:
        print_json(fields)
    else:
        sys.stdout.write(status_report(fields, terminal_width()) + "\n")


def share_of(text: str | None) -> float | None:
    """A share as people write it, `20%` or `0.2`; ConfigError for anything that is not above 0 and at most 1."""
    if text is None:
        return None
    digits = text.strip().removesuffix("%")
    try:
        share = float(digits) / (100 if digits != text.strip() else 1)
    except ValueError:
        share = 0.0
    if not 0.0 < share <= 1.0:
        raise ConfigError(f"{text!r} is no share: write 20% or 0.2, above 0 and at most 100%")
    return share


def _carry_out(op: str, arguments: Mapping[str, Any], as_json: bool, state_dir: Path | None) -> None:
    """Ask the miner, show the steps on stderr and what came of it on stdout."""
    label = " ".join([op.replace("stop_shadow", "stop"), *filter(None, [arguments.get("version")])])
    try:
        with steps_shown(label) as show:
            result = call(_socket(state_dir), op, arguments, show)
    except KeyboardInterrupt:
        sys.stderr.write("the miner goes on with it: see `streetvision models status`\n")
        raise typer.Exit(EXIT_STOPPED) from None
    if as_json:
        print_json(result)
    else:
        sys.stdout.write(f"{result['sentence']}\n")


def _socket(state_dir: Path | None) -> Path:
    return miner_settings(state_dir).state_dir / SOCKET_NAME
