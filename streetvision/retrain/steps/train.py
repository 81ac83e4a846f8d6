"""Train: the new labels are doubted first; then the serving model goes on learning, in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from streetvision.errors import OperatorError
from streetvision.miner.model_choice import serving_model
from streetvision.models.versions import ModelVersion
from streetvision.retrain.child import FOLDER, JobStopped
from streetvision.retrain.labels import PICTURES
from streetvision.retrain.step import Context, Output, Refused, Stopped
from streetvision.retrain.steps.collect import require_trainable
from streetvision.retrain.steps.spending import Meter
from streetvision.retrain.steps.verdicts import note_gate, refuses
from streetvision.retrain.steps.work import Work, device, done, standards
from streetvision.retrain_log.records import StepName

MODAL = "modal"
TRACKING = "tracking"
"""The event that says where the curves are."""
_REMEDY = (
    "look at them with `streetvision data check` or `streetvision mine quality` and correct them; if they are right, "
    "raise --retrain.max_doubt"
)


def train(context: Context, work: Work) -> Output:
    """The training's name and the folder of the candidate; a second attempt goes on where the first one ended."""
    serving = serving_model(context.settings)
    require_trainable(serving)
    _doubt(context, work, serving)
    return _trained(context, work, train_request(context, serving))


def train_request(context: Context, serving: ModelVersion) -> dict[str, Any]:
    """For the job `train`."""
    wanted = context.settings.retrain
    return {
        FOLDER: str(context.folder),
        "state_dir": str(context.settings.state_dir),
        "pictures": context.outputs[StepName.DATASET][PICTURES],
        "serving": str(serving.folder),
        "version": serving.version,
        "recipe": wanted.recipe,
        "device": wanted.device,
        "tracking": wanted.tracking,
        "away": {"usd": wanted.usd, "modal": asdict(context.settings.modal)} if wanted.on == MODAL else None,
    }


def _doubt(context: Context, work: Work, serving: ModelVersion) -> None:
    request = {
        "pictures": context.outputs[StepName.DATASET][PICTURES],
        "serving": str(serving.folder),
        "device": device(context.settings),
        "standards": standards(context.settings),
    }
    gate = done(work, context, "doubt", request)
    note_gate(context, gate)
    if refuses(gate):
        raise Refused(f"the new labels look wrong: {gate['why']}", _REMEDY)


def _trained(context: Context, work: Work, request: Mapping[str, Any]) -> Output:
    meter = Meter(context)
    stopped: list[str] = []
    urls = [""]

    def tell(event: Mapping[str, Any]) -> None:
        meter.hear(event)
        if event.get("event") == TRACKING:
            urls.append(str(event["url"]))
        context.tell(told(event))

    def stop() -> bool:
        if not stopped and (why := meter.exceeded()):
            stopped.append(why)
        return bool(stopped) or context.stop()

    context.check_stop()
    try:
        result = work(context, "train", request, tell, stop)
    except JobStopped:
        if stopped:
            raise OperatorError(stopped[0]) from None
        raise Stopped from None
    finally:
        meter.count()
    return {**result, "gpus": meter.gpus, "tracking_url": urls[-1]}


def told(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event of the training as one of the run, whose `step` is another word."""
    renamed = {("at_step" if name == "step" else name): value for name, value in event.items()}
    return renamed | ({"what": "training"} if event.get("event") == "progress" else {})
