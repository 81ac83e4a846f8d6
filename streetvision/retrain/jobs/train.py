"""Train from the model that serves on the run's pictures; a second attempt goes on where the first one ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch

from streetvision.base.paths import expanded
from streetvision.cost.prices import read_prices
from streetvision.errors import OperatorError
from streetvision.models.folder import read_config
from streetvision.registry.registry import Registry, open_registry
from streetvision.retrain.child import JobStopped, Tell
from streetvision.serverless.troubles import require_modal
from streetvision.settings.modal import ModalSettings
from streetvision.sources.listed import ListedDataset
from streetvision.training.beginning import begin
from streetvision.training.keeping import Stopped
from streetvision.training.pictures import Pictures, gather
from streetvision.training.recipe import Recipe
from streetvision.training.recipe_file import NAMED, named_recipe, read_recipe
from streetvision.training.run_folder import RunFolder, all_runs
from streetvision.training.running import Surroundings, processes, train_candidate
from streetvision.training.starting import Origins
from streetvision.training.wish import Wish

TRACKED = "wandb"


def run(request: Mapping[str, Any], tell: Tell, stop: Callable[[], bool]) -> dict[str, Any]:
    """The training by its name, and the folder of the candidate."""
    state, file = Path(request["state_dir"]), Path(request["pictures"])
    registry = open_registry(state)
    pictures = gather([ListedDataset(file)])
    training = begun_before(state, file) or _begun(request, registry, pictures)
    device, away = request["device"], request["away"]
    used = gpus(training.recipe(), device) if away is None else 1
    tell({"event": "training", "training": training.name, "gpus": used})
    around = Surroundings(registry, tell, _now, stop, device)
    try:
        learning = None if away is None else partial(_learn_away, away=away)
        model = train_candidate(training, pictures, around, learning=learning)
    except Stopped as stopped:
        raise JobStopped from stopped
    best: dict[str, Any] = next((line for line in reversed(training.metrics()) if line["best"]), {})
    return {"training": training.name, "candidate": str(model), "seconds": training.record().seconds, "best": best}


def _learn_away(training: RunFolder, pictures: Pictures, around: Surroundings, away: Mapping[str, Any]) -> None:
    """At Modal; OperatorError where its money is spent before it is done."""
    require_modal()
    from streetvision.serverless.away import learn_away
    from streetvision.serverless.money import money_of
    from streetvision.serverless.training_app import ModalPlace

    settings = ModalSettings(**away["modal"])
    try:
        with ModalPlace(settings) as place:
            learn_away(training, pictures, around, place, money_of(settings, away["usd"], read_prices()))
    except Stopped as stopped:
        if around.stop():
            raise
        raise OperatorError(f"{stopped}: raise --retrain.usd, or train less") from stopped


def begun_before(state: Path, file: Path) -> RunFolder | None:
    """The training of an earlier attempt: the one over this list of pictures."""
    return next((one for one in all_runs(state) if _sets_of(one) == (str(file),)), None)


def recipe_of(request: Mapping[str, Any], serving: Path) -> Recipe:
    """The recipe that the operator named, going on from the model in `serving` with its head and size.

    It keeps no pictures in memory and decodes in threads: a job has a bound of memory, and serving needs processors.
    """
    name, config = request["recipe"], read_config(serving)
    recipe = named_recipe(name) if name in NAMED else read_recipe(expanded(name))
    model = replace(
        recipe.model,
        weights=request["version"],
        head=config.head.kind,
        input_size=config.input_size,
        name=config.name,
    )
    log = TRACKED if request["tracking"] else recipe.run.log
    data = replace(recipe.data, sets=(request["pictures"],))
    run = replace(recipe.run, log=log, workers=0, cache="none" if recipe.run.cache == "memory" else recipe.run.cache)
    return replace(recipe, model=model, data=data, run=run)


def gpus(recipe: Recipe, device: str) -> int:
    """How many the training takes."""
    return processes(recipe, device) if device != "cpu" and torch.cuda.is_available() else 0


def _begun(request: Mapping[str, Any], registry: Registry, pictures: Pictures) -> RunFolder:
    """A new training, whose folder is whole or not there."""
    recipe = recipe_of(request, Path(request["serving"]))
    origins = Origins(_no_hub, registry.get, registry.active())
    return begin(Wish(recipe, request["recipe"]), pictures, Path(request["state_dir"]), origins, started=_now())


def _sets_of(run: RunFolder) -> tuple[str, ...]:
    try:
        return run.record().sets
    except OperatorError:
        return ()  # damaged, and not ours


def _no_hub(repo: str) -> Path:
    raise OperatorError(f"retraining goes on from the serving model and fetches nothing, not even {repo}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
