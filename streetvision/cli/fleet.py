"""`streetvision fleet up|serve|run|down|restart`: miners start, stop and start anew."""

from __future__ import annotations

import os
import time
from typing import Annotated, Any

import typer

from streetvision.cli.fleet_app import File, Name, app, opened
from streetvision.cli.shared import AsJson, print_json
from streetvision.errors import OperatorError

AsJsonLog = Annotated[bool, typer.Option("--json", help="The log as JSON lines.")]
Patience = Annotated[float, typer.Option(min=0.0, metavar="SECONDS", help="Longest wait until it is ready.")]
LOOK_S = 0.3


@app.command()
def up(file: File = None, as_json: AsJsonLog = False) -> None:
    """Start all miners and keep them: one that ends is started again, and touches no other.

    Stays in the foreground until Ctrl-C, SIGTERM or `fleet down`, and then stops all in order; let systemd or pm2 keep
    it. Miners that run already are taken over.
    """
    _run(file, as_json, keeping=True)


@app.command()
def serve(file: File = None, as_json: AsJsonLog = False) -> None:
    """Serve the page and the metrics of all miners alone, where systemd keeps each as streetvision@NAME."""
    _run(file, as_json, keeping=False)


@app.command()
def run(name: Name, file: File = None) -> None:
    """Become one miner of the fleet, as streetvision@.service does. Its log goes to stderr."""
    from streetvision.fleet.member import command, environment, hand_over

    member = opened(file).member(name)
    words = command(hand_over(member))
    os.chdir(member.folder)
    os.execve(words[0], words, environment())  # noqa: S606 - our own interpreter and entry point


@app.command()
def down(file: File = None, as_json: AsJson = False) -> None:
    """Stop the fleet: `fleet up` and every miner, each of which answers what it holds."""
    from streetvision.fleet.stopping import stop_fleet

    stopped = stop_fleet(opened(file), _say)
    if as_json:
        print_json({"stopped": stopped})
    elif not stopped:
        _say("Nothing of it runs.")


@app.command()
def stop(name: Name, file: File = None, as_json: AsJson = False) -> None:
    """Stop one miner and hold it until `fleet restart`; the others serve on. Its table may be gone from the file."""
    from streetvision.fleet.asking import STOP, ask, kept_by

    fleet = opened(file)
    ask(fleet, STOP, {"name": name})
    _say(f"{name} is asked to stop.")
    while kept_by(fleet)[name].pid is not None:
        time.sleep(LOOK_S)
    if as_json:
        print_json({"stopped": [name]})


@app.command()
def restart(name: Name, file: File = None, patience: Patience = 300.0, as_json: AsJson = False) -> None:
    """Start one miner anew, or one whose table is new, with the file's settings; the others serve on.

    Waits until it is ready.
    """
    from streetvision.fleet.asking import RESTART, ask, kept_by

    fleet = opened(file)
    fleet.member(name)
    asked = time.time()
    ask(fleet, RESTART, {"name": name})
    _say(f"{name} is started anew.")
    while True:
        time.sleep(LOOK_S)
        kept = kept_by(fleet)[name]
        fresh = kept.started is not None and kept.started >= asked
        if fresh and kept.ready is not None:
            break
        if fresh and kept.ended is not None and kept.started is not None and kept.ended >= kept.started:
            raise OperatorError(f"{name} did not start ({kept.why}): `streetvision fleet logs {name}` shows more")
        if time.time() - asked > patience:
            raise OperatorError(f"{name} is not ready yet: `streetvision fleet status` shows what it does")
    if as_json:
        print_json({"name": name, "pid": kept.pid, "seconds": round(time.time() - asked, 1)})
    else:
        _say(f"{name} is ready, process {kept.pid}.")


def _run(file: Any, as_json: bool, *, keeping: bool) -> None:  # noqa: ANN401 - as typer gives it
    fleet = opened(file)  # before the imports: a mistake in it is told at once
    import asyncio

    from streetvision.base.logs import configure_logging
    from streetvision.fleet.supervisor import keep, show

    configure_logging(as_json=as_json)
    asyncio.run((keep if keeping else show)(fleet))


def _say(text: str) -> None:
    typer.echo(text, err=True)
