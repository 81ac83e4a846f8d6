"""A group of settings for another process of ours, by a pipe: plain values, its secrets told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from streetvision.settings.secret import Secret

Group = TypeVar("Group")


def handed(group: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass of settings
    """Its values as JSON can hold them; must reach nothing that others read."""
    values = {one.name: getattr(group, one.name) for one in fields(group)}
    return {name: value.reveal() if isinstance(value, Secret) else value for name, value in values.items()}


def taken(kind: type[Group], values: Mapping[str, Any]) -> Group:
    """The group again; raises ConfigError as it does."""
    secret = {one.name for one in fields(kind) if isinstance(one.default, Secret)}  # type: ignore[arg-type]
    return kind(**{name: Secret(value) if name in secret else value for name, value in values.items()})
