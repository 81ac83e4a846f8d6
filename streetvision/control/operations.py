"""What an operator may ask of the models: the manager's methods behind checked arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from streetvision.control.server import Handler, Progress
from streetvision.errors import OperatorError
from streetvision.rollout.journal import BY_OPERATOR, BY_RETRAINING

if TYPE_CHECKING:
    from streetvision.rollout.manager import ModelManager

Arguments = Mapping[str, Any]

MAX_TEXT = 200


def model_operations(manager: ModelManager) -> dict[str, Handler]:
    """The operations by name, for a ControlServer."""

    async def swap(arguments: Arguments, progress: Progress) -> Mapping[str, Any]:
        version, force = _read(arguments, version=_text, force=_optional(_switch))
        return await manager.swap(version, progress, force=bool(force))

    async def shadow(arguments: Arguments, progress: Progress) -> Mapping[str, Any]:
        version, share, by = _read(arguments, version=_text, share=_optional(_share), by=_who)
        return await manager.shadow(version, share, progress, by=by)

    async def canary(arguments: Arguments, progress: Progress) -> Mapping[str, Any]:
        version, share, force, by = _read(
            arguments, version=_text, share=_optional(_share), force=_optional(_switch), by=_who
        )
        return await manager.canary(version, share, progress, force=bool(force), by=by)

    async def stop_shadow(arguments: Arguments, progress: Progress) -> Mapping[str, Any]:
        (by,) = _read(arguments, by=_who)
        return await manager.stop_shadow(by)

    async def promote(arguments: Arguments, progress: Progress) -> Mapping[str, Any]:
        (version,) = _read(arguments, version=_optional(_text))
        return await manager.promote(version, progress)

    async def rollback(arguments: Arguments, progress: Progress) -> Mapping[str, Any]:
        (by,) = _read(arguments, by=_who)
        return await manager.rollback(progress, by=by)

    async def status(arguments: Arguments, progress: Progress) -> Mapping[str, Any]:
        _read(arguments)
        return manager.status()

    handlers = (swap, shadow, canary, stop_shadow, promote, rollback, status)
    return {handler.__name__: handler for handler in handlers}


def _read(arguments: Arguments, **readers: Callable[[str, object], Any]) -> tuple[Any, ...]:
    """The arguments in the readers' order; OperatorError for one that is missing, malformed or unknown."""
    for name in arguments:
        if name not in readers:
            raise OperatorError(f"`{name}` is no argument of this operation; known are {', '.join(readers) or 'none'}")
    return tuple(read(name, arguments.get(name)) for name, read in readers.items())


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
        raise OperatorError(f"`{name}` must be a text of at most {MAX_TEXT} characters")
    return value


def _share(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value <= 1.0:
        raise OperatorError(f"`{name}` must be a number above 0 and at most 1")
    return float(value)


def _who(name: str, value: object) -> str:
    """Who asks; the operator unless retraining says that it does."""
    if value not in (None, BY_RETRAINING):
        raise OperatorError(f"`{name}` must be {BY_RETRAINING}, or left out")
    return BY_OPERATOR if value is None else BY_RETRAINING


def _switch(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise OperatorError(f"`{name}` must be true or false")
    return value


def _optional(read: Callable[[str, object], Any]) -> Callable[[str, object], Any]:
    return lambda name, value: None if value is None else read(name, value)
