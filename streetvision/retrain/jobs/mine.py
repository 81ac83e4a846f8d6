"""Export what was labelled in the FiftyOne App, as `streetvision mine export` does."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from streetvision.mining.database import database_sentences, open_fiftyone
from streetvision.mining.dataset import open_dataset
from streetvision.mining.export import NothingLabelled, export_labels
from streetvision.retrain.child import Tell


def run(request: Mapping[str, Any], tell: Tell, stop: Callable[[], bool]) -> dict[str, Any]:
    """The newest version of the training set in `target`, from the FiftyOne dataset `dataset`."""
    fo = open_fiftyone()
    with database_sentences():
        dataset = open_dataset(fo, request["dataset"])
        try:
            report = export_labels(fo, dataset, Path(request["target"]), now=time.time())
        except NothingLabelled:
            return {"version": 0, "changed": False, "labels": 0}
    labels = sum(sum(side.values()) for side in report.counts.values())
    return {"version": report.version, "changed": report.changed, "labels": labels}
