"""Both models on the requests of a trial whose labels are known by now: from a validator's set, or made meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from streetvision.evaluation.predictions import Serving
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.row import LogFilter
from streetvision.retrain.child import Tell
from streetvision.retrain.gates import judge_answered
from streetvision.retrain.jobs.judge import answers_of, progress_of
from streetvision.retrain.sets import frozen_sets, learning_sets
from streetvision.sources.dataset import Example
from streetvision.sources.listed import ListedDataset

MOST = 5000
"""Requests that are looked at, the newest."""


def run(request: Mapping[str, Any], tell: Tell, stop: Callable[[], bool]) -> dict[str, Any]:
    """The gate on those requests."""
    with LogReader(Path(request["log"])) as reader:
        examples = list(labelled_requests(reader, request["since"], known_labels(request)))
    how, progress = Serving(request["device"]), progress_of("comparing", 2 * len(examples), tell, stop)
    folders = (Path(request["candidate"]), Path(request["serving"]))
    ours, theirs = (asyncio.run(answers_of(folder, [examples], how, progress)) for folder in folders)
    return asdict(judge_answered(ours[0], theirs[0]))


def known_labels(request: Mapping[str, Any]) -> dict[str, Example]:
    """By digest, what is labelled now; what the new model has learned from, or was chosen by, tells nothing."""
    state, listed = Path(request["state_dir"]), ListedDataset(Path(request["pictures"]))
    sets = [*learning_sets(request["sets"], state), *frozen_sets(request["frozen_sets"], state)]
    learned = {example.sha256 for example in listed.examples() if example.split != "test"}
    return {one.sha256: one for some in sets for one in some.examples if one.sha256 not in learned}


def labelled_requests(reader: LogReader, since: float, known: Mapping[str, Example]) -> Iterator[Example]:
    """Each labelled picture that was asked, once, as it was received."""
    seen: set[str] = set()
    for row in reader.rows(LogFilter(since=since, stored=True), newest_first=True, limit=MOST):
        path = reader.image_path(row.sha256)
        if row.sha256 in known and row.sha256 not in seen and path is not None:
            seen.add(row.sha256)
            yield replace(known[row.sha256], path=path, split="test")
