"""Checks of the model: which one a start here would serve, whether its files are whole, and its card on the hub."""

from __future__ import annotations

from pathlib import Path

from streetvision.base.wording import plural
from streetvision.doctor.check import Check, failure, ok, skipped, warning
from streetvision.errors import OperatorError
from streetvision.hub.client import Hub
from streetvision.hub.files import HUB
from streetvision.hub.public_view import published
from streetvision.miner.model_choice import named_model
from streetvision.models.versions import BUNDLED, ModelVersion
from streetvision.registry.registry import Registry, open_registry
from streetvision.settings.settings import Settings

CHOOSE = "Choose one that exists: streetvision models list, then --model VERSION (docs/models.md)."


def check_model(settings: Settings) -> tuple[Check, ModelVersion | None]:
    """The model that would serve is there, has the hashes it was added with, and fits; nothing is changed or fetched.

    OperatorError when it cannot serve.
    """
    registry = open_registry(settings.state_dir)
    pointed = _pointed(settings, registry)
    if pointed is None and not settings.model.choice and not settings.is_mock:
        return failure("model", "no model is chosen", f"{CHOOSE} To get one: streetvision models pull or add."), None
    if pointed is None and settings.model.choice.startswith(HUB):
        evidence = f"{settings.model.choice} is not here yet: the miner fetches it when it starts"
        return skipped(
            "model", evidence, f"To fetch it now: streetvision models pull {settings.model.choice[len(HUB) :]}"
        ), None
    found = registry.servable(pointed) if pointed is not None else named_model(settings, registry)
    if found.version == BUNDLED and not settings.is_mock:
        return warning(
            "model", "the bundled model has never seen real roadwork: it would lose money here", CHOOSE
        ), found
    checked = "its files match their hashes" if registry.folder in found.folder.parents else "its weights fit"
    why = " (by the last swap)" if pointed is not None else ""
    return ok("model", f"{found.name} {found.version}{why}: {checked}, {_size(found.folder)}"), found


def _pointed(settings: Settings, registry: Registry) -> str | None:
    """The version that the registry's pointer would let serve, as `choose_model` reads it; None where --model rules."""
    steps = registry.steps()
    if not steps or settings.model.choice not in ("", steps[-1].over):
        return None
    return steps[-1].version


def _size(folder: Path) -> str:
    return f"{sum(file.stat().st_size for file in folder.rglob('*') if file.is_file()) / 1e6:.0f} MB"


def repository(settings: Settings, model: ModelVersion | None) -> str | None:
    """The repository to look at: the setting's, else the one that the serving model was pulled from."""
    if settings.model.repo:
        return settings.model.repo
    source = model.source if model is not None else settings.model.choice
    return source.removeprefix(HUB).partition("@")[0] if source.startswith(HUB) else None


def check_card(settings: Settings, model: ModelVersion | None, hotkey: str | None, hub: Hub | None = None) -> Check:
    """The card in the public repository: there, right, and in this hotkey's name."""
    repo = repository(settings, model)
    name_it = "Name your public repository: --model.repo owner/name, or MODEL_REPO in miner.env."
    if settings.is_mock and not settings.model.repo:
        return skipped("card", "the mock network asks for no model card")
    if repo is None:
        return skipped(
            "card", "no repository on Hugging Face is known; the subnet wants one with model_card.json", name_it
        )
    if hotkey is None:
        return skipped("card", "without a hotkey nothing can be compared")
    try:
        seen = published(repo, hotkey, hub=hub, window=settings.model.pay_window)
    except OperatorError as error:
        return failure("card", str(error), name_it)
    if not seen.findings:
        age = "" if seen.age_days is None else f", {plural(round(seen.age_days), 'day')} old"
        return ok("card", f"{repo}: model_card.json names this hotkey{age}")
    mild = all(found.code in ("card_unreachable", "card_stale") for found in seen.findings)
    mark = warning if mild or not settings.model.repo else failure
    titles = "; ".join(found.title for found in seen.findings)
    remedy = "; ".join(dict.fromkeys(found.remedy for found in seen.findings))
    return mark("card", titles, remedy[:1].upper() + remedy[1:] + ".")
