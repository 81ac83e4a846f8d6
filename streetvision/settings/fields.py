"""The declared settings, one by one: what their reader, their flags and their texts have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import Any

from streetvision.errors import ConfigError
from streetvision.settings.parsing import parse_bool
from streetvision.settings.secret import Secret
from streetvision.settings.settings import Settings

ENV_FILE_VARIABLE = "MINER_ENV"
FROM_FILE = "_FILE"
"""After the name of a secret: the path of a file that holds it."""
CHOICE = "choice"
"""Attribute of a group whose flag is the group's own name: `--model` is `settings.model.choice`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One declared setting."""

    name: str
    """Its flag without the dashes, such as `axon.port`."""
    group: str
    """The attribute of Settings that holds its group; empty when it stands alone."""
    attribute: str
    """Where its value stands in the group, or in Settings."""
    env: tuple[str, ...]
    """Its variables; the first is the one to write."""
    help: str
    parse: Callable[[str], Any]
    default: Any

    @property
    def flag(self) -> str:
        """As it is typed."""
        return f"--{self.name}"

    @property
    def is_secret(self) -> bool:
        """Whether its value must not be shown."""
        return isinstance(self.default, Secret)

    @property
    def is_switch(self) -> bool:
        """Whether it is on or off, so that its flag may stand alone."""
        return self.parse is parse_bool

    @property
    def default_text(self) -> str:
        """The default as it would be written in miner.env."""
        if self.default is None:
            return ""
        if isinstance(self.default, bool):
            return str(self.default).lower()
        if isinstance(self.default, float):
            return f"{self.default:g}"
        return str(self.default).replace(str(Path.home()), "~")

    def read(self, text: str, source: str) -> Any:  # noqa: ANN401 - of the setting's own type
        """The value that the text stands for; ConfigError that names the source when there is none."""
        try:
            return self.parse(text)
        except ValueError as error:
            raise ConfigError(f"{source}: {error}") from None

    def value_in(self, settings: Settings) -> Any:  # noqa: ANN401 - of the setting's own type
        """Its value in these settings."""
        return getattr(getattr(settings, self.group) if self.group else settings, self.attribute)


def _declared() -> Iterator[Setting]:
    for item in fields(Settings):
        if item.default_factory is MISSING:
            yield _setting("", item)
        else:
            yield from (_setting(item.name, inner) for inner in fields(GROUPS[item.name]))


def _setting(group: str, item: Field[Any]) -> Setting:
    name = ".".join(part for part in (group, item.name) if part not in ("", CHOICE))
    return Setting(
        name=name,
        group=group,
        attribute=item.name,
        env=item.metadata["env"] or (name.upper().replace(".", "_"),),
        help=item.metadata["help"],
        parse=item.metadata["parse"],
        default=item.default,
    )


GROUPS: Mapping[str, Any] = {
    item.name: item.default_factory for item in fields(Settings) if item.default_factory is not MISSING
}
"""The class of each group, by the attribute of Settings that holds it."""

SETTINGS = tuple(_declared())
"""All settings in the order of their declaration."""

_BY_NAME = {item.name: item for item in SETTINGS}


def setting(name: str) -> Setting:
    """The declared setting; KeyError for an unknown one."""
    return _BY_NAME[name]


def settings_with(values: Mapping[str, Any]) -> Settings:
    """The settings with these values by name, and defaults elsewhere; ConfigError when they contradict each other."""
    alone: dict[str, Any] = {}
    grouped: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        item = setting(name)
        (grouped.setdefault(item.group, {}) if item.group else alone)[item.attribute] = value
    return Settings(**alone, **{group: GROUPS[group](**inner) for group, inner in grouped.items()})


def variables() -> list[str]:
    """Every name that is read from the environment and from miner.env."""
    names = [name for item in SETTINGS for name in item.env]
    return names + [name + FROM_FILE for item in SETTINGS if item.is_secret for name in item.env]


def secrets_in(settings: Settings) -> list[Secret]:
    """The secrets that are set."""
    return [value for item in SETTINGS if item.is_secret and (value := item.value_in(settings))]
