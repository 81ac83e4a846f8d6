"""Evaluate: the candidate beside the model that serves now, by the gates."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from streetvision.miner.model_choice import serving_model
from streetvision.models.versions import ModelVersion
from streetvision.prediction_log.schema import DATABASE, LOG_FOLDER
from streetvision.retrain.labels import PICTURES
from streetvision.retrain.step import Context, Output, Refused
from streetvision.retrain.steps.dataset import FROZEN
from streetvision.retrain.steps.verdicts import note_gate
from streetvision.retrain.steps.work import Work, device, done, standards
from streetvision.retrain_log.records import StepName
from streetvision.settings.settings import Settings

DAY_S = 86400.0
AGAINST, AGAINST_FOLDER = "against", "against_folder"
"""Keys of the output: the model that the candidate was compared with."""


def evaluate(context: Context, work: Work) -> Output:
    """Why the candidate may go on; raises Refused where a gate keeps it out. What each said is in the log."""
    settings = context.settings
    serving = serving_model(settings)
    found = done(work, context, "judge", judge_request(context, serving))
    for gate in found["gates"]:
        note_gate(context, gate)
    if not found["accepted"]:
        raise Refused(f"the new model is not put on: {found['why']}", _remedy(settings))
    return {"why": found["why"], AGAINST: serving.version, AGAINST_FOLDER: str(serving.folder)}


def judge_request(context: Context, serving: ModelVersion) -> dict[str, Any]:
    """For the job `judge`."""
    settings, dataset = context.settings, context.outputs[StepName.DATASET]
    return {
        "candidate": context.outputs[StepName.TRAIN]["candidate"],
        "serving": str(serving.folder),
        "pictures": dataset[PICTURES],
        "frozen": dataset[FROZEN],
        "log": log_folder(settings),
        "since": datetime.fromisoformat(context.clock.now()).timestamp() - DAY_S,
        "device": device(settings),
        "standards": standards(settings),
    }


def log_folder(settings: Settings) -> str:
    """The prediction log's folder; empty where there is none."""
    folder = settings.state_dir / LOG_FOLDER
    return str(folder) if (folder / DATABASE).is_file() else ""


def _remedy(settings: Settings) -> str:
    return "label more of what it gets wrong" + (
        "" if settings.retrain.accept == "not_worse" else "; where only its age counts, set --retrain.accept not_worse"
    )
