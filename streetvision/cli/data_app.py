"""`streetvision data check --open`: doubtful labels in the FiftyOne App."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from typing import TYPE_CHECKING

import typer

from streetvision.mining.app import AppOptions, open_app
from streetvision.mining.database import database_sentences, open_fiftyone
from streetvision.mining.dataset_view import DOUBTS, load_examples

if TYPE_CHECKING:
    from streetvision.sources.checking import Doubt
    from streetvision.sources.stored import StoredDataset


def show(stored: StoredDataset, doubts: Sequence[Doubt]) -> None:
    """Serve the App on this machine until Ctrl-C."""
    fo = open_fiftyone()
    contrary = {one.sha256: one.contrary for one in doubts}
    with database_sentences(), redirect_stdout(sys.stderr):  # FiftyOne prints where our data goes
        dataset = load_examples(fo, f"data-{stored.name}", stored.examples(), contrary)
        with open_app(fo, dataset, AppOptions(DOUBTS if doubts else None)) as shown, suppress(KeyboardInterrupt):
            typer.echo(f"{shown.pictures:,} pictures at {shown.url} (Ctrl-C ends it)", err=True)
            while True:
                time.sleep(3600.0)
