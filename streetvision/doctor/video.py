"""Videos: the extra; and where TwelveLabs on Bedrock is allowed, credentials, region, models and bound, for free."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from streetvision.base.spending import spent_of
from streetvision.doctor.check import Check, ok, skipped, warning
from streetvision.errors import OperatorError
from streetvision.net.bedrock import PROFILES, bedrock_sentences, open_client, open_session
from streetvision.settings.settings import Settings
from streetvision.settings.video import REGION
from streetvision.video.spending import DOLLARS, Spending

NAME = "video"
TIMEOUT_S = 5
_WANTED = {
    "authorizationStatus": "AUTHORIZED",
    "entitlementAvailability": "AVAILABLE",
    "regionAvailability": "AVAILABLE",
}
_ASK = "Ask for the model in the console of Bedrock, or name another with VIDEO_PEGASUS or VIDEO_MARENGO."

Open = Callable[[str, str], Any]


def check_video(settings: Settings, opening: Open = open_session) -> Check:
    """Never sends a picture and never asks a model."""
    if find_spec("av") is None:
        words = "PyAV is not installed; only `streetvision video` needs it"
        return skipped(NAME, words, "To scan videos: pip install 'streetvision[video]'")
    if not settings.video.twelvelabs:
        return ok(NAME, "PyAV is there; TwelveLabs on Bedrock is off, nothing is sent")
    try:
        session = opening(settings.video.region, REGION)
        account = _account(session)
        for model in (settings.video.pegasus, settings.video.marengo):
            if lacking := _lacking(session, model):
                return warning(NAME, f"{model} in {session.region_name}: {lacking}", _ASK)
    except OperatorError as error:
        return warning(NAME, f"TwelveLabs on Bedrock: {error}", "Correct that, or set VIDEO_TWELVELABS=false.")
    return _spent(settings, f"TwelveLabs on Bedrock in {session.region_name}, account {account}")


def _account(session: Any) -> str:  # noqa: ANN401 - boto3's
    """The end of the account's number: who would pay."""
    with bedrock_sentences("sts", REGION):
        found = str(_client(session, "sts").get_caller_identity()["Account"])
    return f"…{found[-4:]}"


def _lacking(session: Any, model: str) -> str:  # noqa: ANN401 - boto3's
    """What this account lacks to use a model; empty where nothing."""
    region, _, rest = model.partition(".")
    plain = rest if region in PROFILES else model
    with bedrock_sentences(model, REGION):
        found = _client(session, "bedrock").get_foundation_model_availability(modelId=plain)
    return ", ".join(f"{name} is {found.get(name)}" for name, wanted in _WANTED.items() if found.get(name) != wanted)


def _client(session: Any, service: str) -> Any:  # noqa: ANN401 - boto3's
    return open_client(session, service, connect_s=TIMEOUT_S, read_s=TIMEOUT_S)


def _spent(settings: Settings, words: str) -> Check:
    spending = Spending(settings.state_dir, settings.video.budget)
    spent, budget = spending.of_the_month(), settings.video.budget
    said = f"{words}: {spent_of(spent, budget, currency=DOLLARS)} spent this month"
    if budget is None:
        return warning(NAME, f"{said}, and nothing bounds it", "Set VIDEO_BUDGET.")
    return warning(NAME, said, "Wait, or raise VIDEO_BUDGET.") if spent >= budget else ok(NAME, said)
