"""What one place (miner.env, the environment, a command line) says about the settings, in our or official names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streetvision.errors import ConfigError, reason
from streetvision.settings.fields import FROM_FILE, SETTINGS, Setting, setting, variables
from streetvision.settings.official import BY_VARIABLE, WHOM, OfficialName, concerns_whom, is_unset, of_variable

ENVIRONMENT = "the environment"
NEAR = 0.85
"""How alike a variable of the environment must be to one of ours to be taken for a misspelling (difflib's ratio)."""
VERY_NEAR = 0.8
"""How alike it must be to be taken for that setting, when it matters whether the miner talks to somebody else."""


@dataclass(frozen=True)
class NamedText:
    """The text of one setting and the name it stands under."""

    label: str
    text: str


@dataclass
class Source:
    """Texts by setting, and what is to be told about the names they stood under."""

    texts: dict[str, NamedText] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    """Each ends the start."""
    has_official_refusals: bool = False

    def put(self, name: str, label: str, text: str) -> None:
        """Keep the text of a setting; two names of one setting must not say different things."""
        former = self.texts.setdefault(name, NamedText(label, text))
        if not _same_value(setting(name), former.text, text):
            self.refusals.append(f"{former.label} and {label} contradict each other: remove one of them")

    def put_official(self, entry: OfficialName, label: str, text: str) -> None:
        """Take over what an official name means here, or say why it means nothing."""
        if is_unset(text):
            return
        if entry.refused:
            self.refusals.append(f"{label} is the official miner's: {entry.why}")
            self.has_official_refusals = True
        elif entry.read is None:
            self.warnings.append(f"{label} has no effect: {entry.why}")
        else:
            self._translate(entry, label, text)

    def _translate(self, entry: OfficialName, label: str, text: str) -> None:
        try:
            found = entry.read(text) if entry.read is not None else {}
        except ValueError as error:
            self.refusals.append(f"{label}: {error}")
            return
        for name, value in found.items():
            self.warnings.append(f"{label} is the official miner's; it is read as {setting(name).flag}")
            self.put(name, label, value)


def _same_value(item: Setting, one: str, other: str) -> bool:
    try:
        return bool(item.parse(one) == item.parse(other))
    except ValueError:
        return one == other


def read_variables(values: Mapping[str, str | None], where: str) -> Source:
    """What a settings file or the environment says; an empty value means unset, as in shell scripts."""
    source = Source()
    for item in SETTINGS:
        for name, text in _own(item, values):
            source.put(item.name, f"{name} in {where}", text)
    for name, value in values.items():
        entry = of_variable(name, value or "")
        if entry is not None and not (where == ENVIRONMENT and entry.read is None and not entry.refused):
            source.put_official(entry, f"{name} in {where}", value or "")
    return source


def _own(item: Setting, values: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    for name in item.env:
        text = values.get(name) or (_from_file(values.get(name + FROM_FILE), name) if item.is_secret else None)
        if text and of_variable(name, text) is None:
            yield name, text


def _from_file(path: str | None, name: str) -> str | None:
    """A secret that lies in a file of its own, as container platforms hand them out."""
    if not path:
        return None
    try:
        return Path(path).expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError, RuntimeError) as error:
        raise ConfigError(f"{name}{FROM_FILE}: cannot read {path}: {reason(error)}") from None


@dataclass(frozen=True)
class UnknownName:
    """A variable that is no setting, ours or official."""

    name: str
    sentence: str
    whom: bool
    """Whether it may have been meant to say whom the miner talks to."""


def unknown_names(values: Mapping[str, str | None], where: str) -> Iterator[UnknownName]:
    """Variables that are no settings: all of a file, of the environment those that look like a misspelt one."""
    known = variables()
    for name, text in values.items():
        if name in known or name in BY_VARIABLE:
            continue
        near = next(iter(difflib.get_close_matches(name, known, n=1)), None)
        if where == ENVIRONMENT and not (near and _begins_like_ours(name) and _ratio(name, near) >= NEAR):
            continue  # most of the environment is not meant for the miner
        hint = f" (did you mean {near}?)" if near else ""
        whom = bool(text) and _may_say_whom(name, near)
        yield UnknownName(name, f"{name} in {where} is not a setting{hint}; {_MEND if whom else 'ignored'}", whom)


_MEND = "correct it or remove it, as it may say whom the miner talks to"


def _may_say_whom(name: str, near: str | None) -> bool:
    """Whether it is a misspelt setting of that kind, or resembles no setting and has a word of that kind."""
    if near is None or _ratio(name, near) < VERY_NEAR:
        return concerns_whom(name)
    return any(near in item.env for item in SETTINGS if item.name in WHOM)


def _ratio(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def _begins_like_ours(name: str) -> bool:
    return any(name.startswith(prefix) for prefix in _prefixes(variables()))


def _prefixes(names: Iterable[str]) -> set[str]:
    return {name.partition("_")[0] + "_" for name in names if "_" in name}
