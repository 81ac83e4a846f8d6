"""Synthesise: variations of what the serving model finds hard, and of them only the kinds that pay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from streetvision.errors import OperatorError
from streetvision.miner.model_choice import serving_model
from streetvision.retrain.sets import set_names
from streetvision.retrain.step import Context, Output
from streetvision.retrain.steps.work import Work, device, done
from streetvision.settings.handing import handed
from streetvision.sources.adding import AddReport, add
from streetvision.sources.arranging import arrange
from streetvision.sources.place import dataset_folder
from streetvision.sources.splitting import Shares
from streetvision.sources.store import writing

SETS = "sets"
"""Key of the output: the datasets that hold the variations to learn from, one a kind; empty where none pays."""
SYNTHETIC = "retrain-synthetic"
ALL_TRAIN = Shares(val=0.0, test=0.0)
"""A made picture teaches; it judges nobody."""


def synthesise(context: Context, work: Work) -> Output:
    """Which datasets of variations the run learns from, and what each kind of them would add.

    A back end that cannot be asked ends no run: the run goes on without, and says so.
    """
    if not context.settings.synthetic.back_end:
        return _nothing("no source of synthetic pictures is configured")
    try:
        found = done(work, context, "synthesise", request(context))
    except OperatorError as error:
        return _nothing(f"nothing was made: {error}")
    if found["spent"]:
        context.spend(0.0, found["spent"])
    sets = {kind: _added(context, Path(found["folder"]), kind) for kind in found["ablation"]["kept"]}
    gains = {f"gain_of_{kind}": _gain(gain) for kind, gain in found["ablation"]["kinds"].items()}
    return {SETS: [f"{SYNTHETIC}-{kind}" for kind in sets], "why": _why(found["ablation"]), **gains, **found}


def request(context: Context) -> dict[str, Any]:
    """For the job `synthesise`."""
    settings = context.settings
    return {
        "state_dir": str(settings.state_dir),
        "sets": set_names(settings),
        "serving": str(serving_model(settings).folder),
        "device": device(settings),
        "synthetic": handed(settings.synthetic),
        "oracle": handed(settings.oracle),
        "now": context.clock.now(),
    }


def _nothing(why: str) -> Output:
    return {SETS: [], "why": why}


def _why(ablation: dict[str, Any]) -> str:
    """Which kinds are learned from."""
    if ablation["why"]:
        return f"none is learned from: {ablation['why']}"
    if not ablation["kept"]:
        return "none is learned from: no kind adds anything beyond noise"
    return f"learned from: {', '.join(ablation['kept'])}"


def _gain(one: dict[str, Any]) -> str:
    """What a kind adds, and to which class."""
    both = f"roadwork found {one['roadwork']:+.1%}, others left alone {one['none']:+.1%}"
    return f"{one['balanced']:+.1%} in balanced accuracy, at least {one['low']:+.1%}: {both}"


def _added(context: Context, folder: Path, kind: str) -> int:
    from streetvision.synthesis.of_kind import OfKind

    def tell(report: AddReport) -> None:
        context.check_stop()
        context.tell({"event": "progress", "what": f"adding {kind}", "done": report.read, "total": 0})

    with writing(dataset_folder(f"{SYNTHETIC}-{kind}", context.settings.state_dir)) as store:
        try:
            return add(OfKind(folder, kind), store, progress=tell).new
        finally:
            arrange(store, ALL_TRAIN)
