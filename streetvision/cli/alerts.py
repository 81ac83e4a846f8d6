"""`streetvision alerts test|list`: try every way in which the miner tells its operator, and see what it has told."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from streetvision.alerts.alerting import active_as_dict
from streetvision.alerts.sinks.trial import configured, try_sinks
from streetvision.alerts.state import FILE, read_alerts
from streetvision.base.wording import duration, moment
from streetvision.cli.shared import AsJson, StateDir, miner_settings, print_json
from streetvision.control.client import SOCKET_NAME, call
from streetvision.errors import OperatorError
from streetvision.monitor.history_database import FOLDER
from streetvision.settings.settings import Settings

app = typer.Typer(help="Alerts: where they go, whether they arrive, what is told.", no_args_is_help=True)


@app.command()
def test(
    sink: Annotated[str | None, typer.Option(metavar="NAME", help="This sink alone; default: all.")] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Send a test message through each configured sink; exit code 1 when one does not arrive."""
    trials = asyncio.run(try_sinks(miner_settings(state_dir).alerts, sink))
    for trial in trials:
        if as_json:
            print_json(asdict(trial))
        else:
            typer.echo(f"{'ok  ' if trial.ok else 'FAIL'}  {trial.sink:<9} {trial.where:<32} {trial.detail}")
    if len(trials) == 1 and sink is None:
        typer.echo("No sink but the log is configured: docs/alerts.md says how to add one.", err=True)
    if not all(trial.ok for trial in trials):
        raise typer.Exit(1)


@app.command("list")
def list_(as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Show the configured sinks, without their secrets, and what the operator was told and still holds."""
    overview = _overview(miner_settings(state_dir))
    if as_json:
        print_json(overview)
        return
    for sink in overview["sinks"]:
        typer.echo(f"{sink['name']:<9} {sink['where']:<32} {_health(sink)}".rstrip())
    if not overview["active"]:
        typer.echo("No alert is active.")
    for one in overview["active"]:
        since = duration(max(0.0, time.time() - one["began"]))
        typer.echo(f"{one['severity']:<9} {one['title']} (for {since}, told {moment(one['told_at'])})")


def _overview(settings: Settings) -> dict[str, Any]:
    """Of the running miner, else of the settings and of what the last miner wrote down."""
    with contextlib.suppress(OperatorError):
        return {"running": True, **call(settings.state_dir / SOCKET_NAME, "alerts")}
    sinks = [{"name": sink.name, "where": sink.where} for sink in configured(settings.alerts)]
    return {"running": False, "name": settings.alerts.name, "sinks": sinks, "active": _remembered(settings)}


def _remembered(settings: Settings) -> list[dict[str, Any]]:
    file = settings.state_dir / FOLDER / FILE
    try:
        state, _ = read_alerts(file)
    except FileNotFoundError:
        return []
    except (OSError, KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        why = type(error).__name__
        raise OperatorError(f"{file} cannot be read ({why}): start the miner, which replaces it") from None
    return [active_as_dict(tracked) for tracked in state.active]


def _health(sink: Mapping[str, Any]) -> str:
    if "sent" not in sink:
        return ""
    counts = ", ".join(f"{sink[name]} {name}" for name in ("sent", "failed", "dropped", "waiting") if sink[name])
    return (counts or "nothing sent yet") + (f"; last: {sink['trouble']}" if sink["trouble"] else "")
