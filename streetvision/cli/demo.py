"""`streetvision demo`: the whole loop on one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    seconds: Annotated[
        float, typer.Option(envvar="DEMO_SECONDS", min=0.0, help="How long challenges run; 0: until Ctrl-C.")
    ] = 60.0,
    photos: Annotated[
        Path | None,
        typer.Option(envvar="DEMO_PHOTOS", metavar="FOLDER", help="Street photos without roadwork, to send as well."),
    ] = None,
) -> None:
    """Run the miner on the mock network against a simulated validator, and show what happens."""
    from streetvision.demo.run import run_demo

    raise typer.Exit(run_demo(seconds, photos))
