"""The candidate beside the serving model: on the frozen set, on the latest labels, on yesterday's traffic."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from streetvision.errors import OperatorError
from streetvision.evaluation.figures import MIN_GROUPS
from streetvision.evaluation.predictions import Answers, Serving, answer_examples, serving
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.replay import ReplayOptions, replay_log
from streetvision.prediction_log.row import LogFilter
from streetvision.registry.model_import import describe
from streetvision.retrain.child import JobStopped, Tell
from streetvision.retrain.combining import LABELS, NEW
from streetvision.retrain.gates import (
    Gate,
    Outcome,
    Standards,
    judge,
    judge_frozen,
    judge_latest,
    judge_traffic,
)
from streetvision.retrain_log.records import TRAFFIC
from streetvision.sources.dataset import Example
from streetvision.sources.listed import ListedDataset

MOST_LOST = 0.05
"""Share of the frozen set that may be unreadable."""
REPLAYED = 2000
"""Requests of the traffic that are answered again, the newest."""


def run(request: Mapping[str, Any], tell: Tell, stop: Callable[[], bool]) -> dict[str, Any]:
    """All gates and what they come to together; raises OperatorError where the frozen set can no longer be read."""
    standards, how = Standards(**request["standards"]), Serving(request["device"])
    folders = [Path(request["candidate"]), Path(request["serving"])]
    sets = [ListedDataset(Path(request["frozen"])).examples(), latest(ListedDataset(Path(request["pictures"])))]
    progress = progress_of("judging", 2 * sum(map(len, sets)), tell, stop)
    ours, theirs = (asyncio.run(answers_of(folder, sets, how, progress)) for folder in folders)
    _require_answered(theirs[0])
    gates = [
        judge_frozen(ours[0], theirs[0], standards),
        judge_latest(ours[1], theirs[1]),
        _traffic(request, folders, standards, progress),
    ]
    return {"gates": [asdict(gate) for gate in gates], **asdict(judge(gates, standards))}


def _require_answered(frozen: Answers) -> None:
    """A disk that went must not count against the new model: so the serving one is asked."""
    lost, count = len(frozen.unanswered), len(frozen.unanswered) + len(frozen.examples)
    if lost > MOST_LOST * count:
        reasons = Counter(why for _, why in frozen.unanswered)
        raise OperatorError(
            f"{lost:,} of {count:,} pictures of the frozen set cannot be read ({reasons.most_common(1)[0][0]:.200}): "
            "bring them back, or name another set with --retrain.frozen"
        )


def latest(pictures: ListedDataset) -> list[Example]:
    """What was held out of the new labels, or of all where those are of too few groups to tell luck from skill."""
    held_out = pictures.examples("test")
    new = [example for example in held_out if example.tags.get(LABELS) == NEW]
    return new if len({example.group for example in new}) >= MIN_GROUPS else held_out


async def answers_of(
    folder: Path, sets: Sequence[Sequence[Example]], how: Serving, progress: Callable[[int], None]
) -> list[Answers]:
    """What the model in `folder` answers to the pictures of each set."""
    async with serving(folder, how) as engine:
        return [await answer_examples(engine, examples, progress=progress) for examples in sets]


def _traffic(
    request: Mapping[str, Any], folders: Sequence[Path], standards: Standards, progress: Callable[[int], None]
) -> Gate:
    """What the serving model answered since `since`, answered by the candidate; each picture once."""
    if not request["log"]:
        return Gate(TRAFFIC, Outcome.UNJUDGED, "the prediction log is switched off")
    candidate, served = folders
    wanted = LogFilter(since=request["since"], answered=True, stored=True, model=describe(served).version)
    with LogReader(Path(request["log"])) as reader:
        done = replay_log(
            reader,
            candidate,
            ReplayOptions(wanted, REPLAYED),
            device=request["device"],
            compile=False,
            threads=0,
            progress=progress,
        )
    answered = {one.sha256: (one.new, one.old) for one in done.answers if one.old is not None}
    new, old = np.array(list(answered.values()), np.float64).reshape(-1, 2).T
    return judge_traffic(new, old, standards)


def progress_of(what: str, total: int, tell: Tell, stop: Callable[[], bool]) -> Callable[[int], None]:
    """Tells how far a job is; raises JobStopped where that is asked for."""
    done = 0

    def heard(count: int) -> None:
        nonlocal done
        if stop():
            raise JobStopped
        done += count
        tell({"event": "progress", "what": what, "done": done, "total": max(total, done)})

    return heard
