"""The check of the backend: whether it can be reached, and whether it answers by the weights that this miner has."""

from __future__ import annotations

import asyncio

import numpy as np

from streetvision.cluster.from_settings import ray_transport
from streetvision.cluster.remedies import remedy_of
from streetvision.doctor.check import Check, ok, skipped, warning
from streetvision.doctor.modal import check_modal
from streetvision.engine.transport import ModelPin, RemoteBatch, RemoteFailure, checked
from streetvision.errors import OperatorError
from streetvision.miner.model_choice import serving_model
from streetvision.models.ensemble import is_ensemble
from streetvision.models.folder import read_config
from streetvision.settings.settings import Settings

ANSWER_S = 60.0
"""A version that is not loaded there yet is loaded first."""


async def check_backend(settings: Settings, now: float) -> Check:
    """Of the backend that the settings name."""
    if settings.backend.choice == "modal":  # a picture would wake a container, which costs money
        return await asyncio.to_thread(check_modal, settings, now)
    if settings.backend.choice == "ray":
        return await _check_ray(settings)
    return skipped("backend", "the embedded model answers")


async def _check_ray(settings: Settings) -> Check:
    """Ask for one grey picture with the version that would serve; nothing is started or deployed for it."""
    try:
        asked = await asyncio.to_thread(_batch, settings)
    except OperatorError as error:
        return skipped("backend", f"there is no model to ask for ({error})")
    if asked is None:
        return warning(
            "backend", "the model takes several passes over a picture, so the embedded one answers", "See scaling.md."
        )
    transport = ray_transport(settings, start=False)
    try:
        async with asyncio.timeout(ANSWER_S):
            answer = checked(asked, await transport.send(asked))
    except TimeoutError:
        return warning("backend", f"{settings.ray.head} gave no answer within {ANSWER_S:g} s", "See its page.")
    except RemoteFailure as failure:
        remedy = remedy_of(failure.trouble)
        return warning("backend", f"{settings.ray.head}: {failure}", f"{remedy[:1].upper()}{remedy[1:]}.")
    finally:
        await transport.close()
    return ok("backend", f"{answer.replica} answers for {asked.model.version} in {1e3 * answer.inference:.0f} ms")


def _batch(settings: Settings) -> RemoteBatch | None:
    from streetvision.runner.remote import pin_of  # imports torch

    model = serving_model(settings)
    if is_ensemble(model.folder):
        return None
    config = read_config(model.folder)
    pin: ModelPin = pin_of(model.version, config)
    picture = np.full((1, config.input_size, config.input_size, 3), 128, np.uint8)
    return RemoteBatch(pin, picture, (ANSWER_S,), (0.0,), ("",))
