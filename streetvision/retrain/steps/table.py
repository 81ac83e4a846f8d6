"""The steps in their order, and what a run asks besides."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from streetvision.errors import OperatorError
from streetvision.miner.model_choice import serving_model
from streetvision.retrain.running import Parts
from streetvision.retrain.step import Step
from streetvision.retrain.steps.collect import check, collect, count_all
from streetvision.retrain.steps.dataset import make_dataset
from streetvision.retrain.steps.deliver import abandon, canary, promote, shadow
from streetvision.retrain.steps.evaluate import evaluate
from streetvision.retrain.steps.more import PictureGiver, label
from streetvision.retrain.steps.publish import publish
from streetvision.retrain.steps.synthesise import synthesise
from streetvision.retrain.steps.train import train
from streetvision.retrain.steps.work import Work, in_child
from streetvision.retrain_log.records import StepName
from streetvision.settings.settings import Settings


def steps(work: Work = in_child, *, oracle: PictureGiver | None = None) -> Mapping[StepName, Step]:
    """All of them, in order; where no oracle is given, that of the settings."""
    return {
        StepName.COLLECT: partial(collect, work=work),
        StepName.LABEL: lambda context: label(context, oracle or oracle_of(context.settings)),
        StepName.SYNTHESISE: partial(synthesise, work=work),
        StepName.DATASET: partial(make_dataset, work=work),
        StepName.TRAIN: partial(train, work=work),
        StepName.EVALUATE: partial(evaluate, work=work),
        StepName.PUBLISH: partial(publish, work=work),
        StepName.SHADOW: shadow,
        StepName.CANARY: canary,
        StepName.PROMOTE: partial(promote, work=work),
    }


def oracle_of(settings: Settings) -> PictureGiver | None:
    """Whom the settings want asked for labels; None where nobody is."""
    if not settings.oracle.is_configured or not settings.oracle.retrain_pictures:
        return None
    from streetvision.retrain.steps.labelling import OraclePictures  # its HTTP client takes its time to import

    return OraclePictures(settings.oracle.model)


def parts() -> Parts:
    """As the operator's runs have them."""
    return Parts(steps(), abandon, check, count_all, baseline)


def baseline(settings: Settings) -> str:
    """The version that serves; empty where none is known."""
    try:
        return serving_model(settings).version
    except OperatorError:
        return ""
