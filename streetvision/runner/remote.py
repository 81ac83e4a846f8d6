"""Which weights a backend is asked for in a model's place."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import asdict

from streetvision.engine.remote import RemoteEnd
from streetvision.engine.remote_policy import RemotePolicy
from streetvision.engine.transport import ModelPin, Transport
from streetvision.engine.types import Runner
from streetvision.models.config import ModelConfig
from streetvision.runner.bucketed import BucketedRunner

FOR_PEOPLE = ("card", "created", "name")
"""What a description says without a bearing on the answers."""

logger = logging.getLogger(__name__)


def pin_of(version: str, config: ModelConfig) -> ModelPin:
    """The version, and a fingerprint of all that decides its answers: the weights and how they are used.

    Two machines that hold the same checkpoint come to the same fingerprint.
    """
    decides = {name: value for name, value in asdict(config).items() if name not in FOR_PEOPLE}
    text = json.dumps(decides, sort_keys=True, separators=(",", ":"))
    return ModelPin(version, hashlib.sha256(text.encode()).hexdigest())


def embedded(_: Runner) -> None:
    """The model in this process answers, and no backend."""


def remote_ends(transport: Transport, policy: RemotePolicy) -> Callable[[Runner], RemoteEnd | None]:
    """Says of each model that is loaded how `transport` answers for it; None for an ensemble or one with views.

    Those take several passes over a picture, which the engine plans by the time that is left.
    """

    def end(runner: Runner) -> RemoteEnd | None:
        if not isinstance(runner, BucketedRunner):
            logger.warning("version %s has several passes over a picture: the embedded model answers", runner.version)
            return None
        return RemoteEnd(pin_of(runner.version, runner.config), transport, policy)

    return end
