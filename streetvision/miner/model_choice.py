"""Which model a starting miner serves: what --model names, or the version that it was swapped to since."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from streetvision.base.paths import expanded
from streetvision.errors import ConfigError, OperatorError
from streetvision.hub.files import HUB
from streetvision.models.ensemble import is_ensemble
from streetvision.models.folder import read_config
from streetvision.models.versions import BUNDLED, ModelVersion, is_version
from streetvision.registry.model_import import describe
from streetvision.registry.registry import Registry, open_registry
from streetvision.rollout.deployment import unregistered
from streetvision.rollout.journal import JOURNAL_FILE, Journal
from streetvision.settings.parsing import is_repo
from streetvision.settings.settings import Settings
from streetvision.subnet import PayWindow

NO_MODEL = (
    "no model is chosen, and the bundled one has never seen real roadwork: it would lose money on this network. "
    "Name one with --model: a checkpoint folder, a registry version or hf:owner/name@tag (docs/models.md says how to "
    "get one), or insist with --model bundled"
)
ADDRESSES = ("http://", "https://")
NAMED = "named by --model"


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The model to begin with."""

    registry: Registry
    start: ModelVersion
    named: ModelVersion | None
    """What --model stands for, so that a rollback can return to it; None where it stands for nothing."""


def choose_model(settings: Settings) -> ModelChoice:
    """The model to start with, written down as the active one; OperatorError with one sentence.

    The registry's pointer wins while --model is what it was when the pointer was set, or is empty. A version that is
    damaged or gone is named in the log, and the last good one or what --model names serves instead.
    """
    registry = open_registry(settings.state_dir)
    pointed = _pointed(settings, registry)
    if pointed is not None:
        return ModelChoice(registry, pointed, _named_if_here(settings, registry))
    named = named_model(settings, registry)
    _record(registry, named, settings.model.choice)
    return ModelChoice(registry, named, named)


def check_model(settings: Settings) -> None:
    """Refuse at once, without torch, the network or a look at the weights, a model that is not here; OperatorError.

    `choose_model` has the last word: what it would fetch, or serve in place of what --model names, is left to it.
    """
    registry, name = open_registry(settings.state_dir), settings.model.choice
    if _swapped_to(settings, registry) is not None or name == BUNDLED or name.startswith(HUB):
        return
    if is_version(name):
        registry.get(name)
    elif not name or name.startswith(ADDRESSES):
        named_model(settings, registry)
    else:
        folder = expanded(name)
        if all(version.folder != folder.resolve() for version in registry.versions()):
            _described(folder)


def serving_model(settings: Settings) -> ModelVersion:
    """The model that serves, or would serve when the miner starts; nothing is written down. Raises OperatorError."""
    registry = open_registry(settings.state_dir)
    swapped = _swapped_to(settings, registry)
    return named_model(settings, registry) if swapped is None else registry.servable(swapped)


def choose_checkpoint(settings: Settings) -> Path:
    """The folder of the model that --model names, for commands beside the miner; OperatorError with one sentence."""
    return named_model(settings, open_registry(settings.state_dir)).folder


def named_model(settings: Settings, registry: Registry) -> ModelVersion:
    """What --model stands for: a registry version, a model on the hub (fetched now), or a folder; OperatorError."""
    name = settings.model.choice
    if name == BUNDLED or (not name and settings.is_mock):
        return registry.servable(BUNDLED)
    if not name:
        raise ConfigError(NO_MODEL)
    if is_version(name):
        return registry.servable(name)
    if name.startswith(ADDRESSES):
        raise ConfigError(f"--model takes no address such as {name}: write hf:owner/name@tag for a model on the hub")
    if name.startswith(HUB):
        return registry.servable(_pulled(name, registry, settings.model.pay_window).version)
    folder = expanded(name)
    if is_repo(name) and not folder.exists():
        raise ConfigError(
            f"there is no folder {name}: write hf:{name}@tag for a model on the hub, or --model.repo {name} for where "
            "yours is published"
        )
    return _in_folder(folder, registry)


def _swapped_to(settings: Settings, registry: Registry) -> str | None:
    """The version that the pointer says, if --model does not overrule it."""
    steps = registry.steps()
    return steps[-1].version if steps and settings.model.choice in ("", steps[-1].over) else None


def _pointed(settings: Settings, registry: Registry) -> ModelVersion | None:
    """The version that the pointer says, if --model does not overrule it and one can serve; says which and why."""
    steps = registry.steps()
    if not steps or steps[-1].version is None:
        return None
    last = steps[-1]
    if settings.model.choice not in ("", last.over):
        logger.info(
            "model: {} wins over {}, which was active while --model was {}",
            settings.model.choice,
            last.version,
            last.over or "empty",
        )
        return None
    problems: list[str] = []
    for version in dict.fromkeys(_candidates(registry)):
        try:
            found = registry.servable(version)
        except OperatorError as error:
            logger.error("model: {}", error)
            problems.append(str(error))
            continue
        if version == last.version:
            logger.info("model: {} serves since {} ({}), as --model is unchanged", version, last.at, last.why)
        else:
            logger.error("model: {} serves in place of {}, which cannot", version, last.version)
            registry.activate(version, over=settings.model.choice, why=f"{last.version} cannot serve", rollback=True)
            journal = Journal(registry.folder / JOURNAL_FILE)
            journal.write("rollback", last.version, problems[0], by="start", to=version)
        return found
    return None


def _candidates(registry: Registry) -> Iterator[str]:
    """The active version, then the last good one."""
    for version in (registry.active(), registry.previous()):
        if version is not None:
            yield version


def _named_if_here(settings: Settings, registry: Registry) -> ModelVersion | None:
    """What --model names need not be there any more when another version serves, and is not fetched for that."""
    try:
        if not settings.model.choice.startswith(HUB):
            return named_model(settings, registry)
        seen = [step.version for step in registry.steps() if step.over == settings.model.choice and step.why == NAMED]
        return registry.servable(seen[-1]) if seen and seen[-1] is not None else None
    except OperatorError:
        return None


def _record(registry: Registry, named: ModelVersion, over: str) -> None:
    """Keep the pointer true: --model has the say again, and a version that it names is the active one from now on."""
    steps = registry.steps()
    in_registry = named.version != BUNDLED and registry.folder in named.folder.parents
    if in_registry:
        if not steps or (steps[-1].version, steps[-1].over) != (named.version, over):
            registry.activate(named.version, over=over, why=NAMED)
    elif steps and steps[-1].version is not None:
        registry.release(over=over, why=NAMED)


def _pulled(name: str, registry: Registry, window: PayWindow) -> ModelVersion:
    from streetvision.hub.files import parse_ref
    from streetvision.hub.pull import pull

    ref = parse_ref(name)
    logger.info("model: fetching {} into {}", ref, registry.folder)
    return pull(
        ref.repo,
        ref.revision,
        registry,
        progress=_FetchLog(),
        warn=lambda sentence: logger.warning("model: {}", sentence),
        window=window,
    )


class _FetchLog:
    """A log line for every tenth of a download: a large model takes minutes, and a service has no terminal."""

    def __init__(self) -> None:
        self._tenths = 0

    def __call__(self, stage: str, done: int, total: int) -> None:
        tenths = 10 * done // total if stage == "fetching" and total else 0
        if tenths > self._tenths:
            self._tenths = tenths
            logger.info("model: {}0% of {:.2f} GB fetched", tenths, total / 1e9)


def _in_folder(folder: Path, registry: Registry) -> ModelVersion:
    """A folder outside the registry, or one of its own; what can be checked without the weights is checked."""
    for version in registry.versions():
        if version.folder == folder.resolve():
            return registry.servable(version.version)
    found = _described(folder)
    if not is_ensemble(folder):
        from streetvision.models.network import require_fit  # brings torch

        require_fit(folder, read_config(folder))
    return found


def _described(folder: Path) -> ModelVersion:
    """The model in a folder, as far as its description says."""
    described = describe(folder)
    if not is_ensemble(folder):
        why_not = read_config(folder).why_not_servable
        if why_not is not None:
            raise OperatorError(f"The model in {folder} may not serve: {why_not}.")
    return unregistered(folder, described.version, described.name, "")
