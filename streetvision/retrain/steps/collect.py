"""Collect: what the operator labelled is exported, and the sets are counted."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from streetvision.base.paths import expanded
from streetvision.errors import OperatorError
from streetvision.miner.model_choice import serving_model
from streetvision.mining.sync_state import DATASET, SYNCED
from streetvision.mining.sync_state import FOLDER as MINING
from streetvision.models.ensemble import is_ensemble
from streetvision.models.versions import BUNDLED, ModelVersion
from streetvision.retrain.child import FOLDER, run_job
from streetvision.retrain.labels import count_labels, labels_in, seen_labels
from streetvision.retrain.sets import MINED, NamedSet, check_frozen, frozen_sets, learning_sets, set_names
from streetvision.retrain.step import Context, Output
from streetvision.retrain.steps.work import Work, bounds_of, done
from streetvision.retrain_log.reader import RetrainReader
from streetvision.settings.settings import Settings
from streetvision.training.recipe_file import NAMED, named_recipe, read_recipe


def collect(context: Context, work: Work) -> Output:
    """How many labels there are, and how many no run has learned from yet."""
    settings = context.settings
    exported = done(work, context, "mine", mine_request(settings)) if mines(settings) else None
    frozen = frozen_sets(settings.retrain.frozen_names, settings.state_dir)
    names = set_names(settings)
    if not names:
        raise OperatorError("there is nothing to learn from: name datasets with --retrain.datasets")
    sets = learning_sets(names, settings.state_dir)
    labels = labels_in(sets)
    return {
        "mined": exported,
        "sets": _described(sets),
        "frozen": _described(frozen),
        "labels": len(labels),
        "new_labels": len(labels - seen_labels(context.store)),
    }


def check(settings: Settings) -> None:
    """Refuse before a run begins what would end it, perhaps hours later; raises OperatorError."""
    wanted = settings.retrain
    if wanted.recipe in NAMED:
        named_recipe(wanted.recipe)
    else:
        read_recipe(expanded(wanted.recipe))
    if wanted.publish and not settings.model.repo:
        raise OperatorError("--retrain.publish uploads to your repository: name it with --model.repo")
    require_trainable(serving_model(settings))
    check_frozen(wanted.frozen_names, settings.state_dir)


def require_trainable(serving: ModelVersion) -> None:
    """OperatorError for a model that training cannot go on from."""
    if is_ensemble(serving.folder):
        raise OperatorError(
            "the serving model is an ensemble, which cannot be trained on: let one of its members serve, or switch "
            "retraining off"
        )
    if serving.version != BUNDLED and not serving.added:
        raise OperatorError(
            f"the serving model {serving.name} lies outside the registry, so that nothing can go on from it: add it "
            f"with `streetvision models add {serving.folder}` and let that version serve"
        )


def mines(settings: Settings) -> bool:
    """Whether labels are made by `streetvision mine` here, and are wanted."""
    used = (settings.state_dir / MINING / SYNCED).is_file()
    return settings.retrain.mine and used and find_spec("fiftyone") is not None


def count_all(settings: Settings, log: RetrainReader) -> int:
    """Labels that no run has learned from, those included that were made in the App since the last export."""
    if mines(settings):
        log.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        run_job("mine", {FOLDER: str(log.folder), **mine_request(settings)}, bounds_of(settings))
    return count_labels(settings, log)


def mine_request(settings: Settings) -> dict[str, str]:
    """For the job `mine`."""
    return {"dataset": DATASET, "target": str(settings.state_dir / MINED)}


def _described(sets: Sequence[NamedSet]) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name,
            "version": one.version,
            "pictures": len(one.examples),
            "roadwork": sum(example.label for example in one.examples),
        }
        for one in sets
    ]
