"""Where settings come from (flags, environment, miner.env) and the texts that are generated from them."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream

from streetvision.base.paths import expanded
from streetvision.errors import ConfigError, reason
from streetvision.settings.fields import (
    ENV_FILE_VARIABLE,
    FROM_FILE,
    field_named,
    is_secret,
    parse_setting,
    setting_fields,
    show_default,
)
from streetvision.settings.flags import read_flags, unknown_sentence
from streetvision.settings.official import NAMES, OfficialName, mock_network
from streetvision.settings.parsing import MOCK_NETWORK
from streetvision.settings.settings import Settings
from streetvision.settings.sources import ENVIRONMENT, NamedText, Source, UnknownName, read_variables, unknown_names

FROM_OFFICIAL = "`streetvision init --from FILE` turns the official miner's settings into ours (docs/migrating.md)"
LONGEST_FILE = 1 << 20
"""Bytes of a settings file that is read."""
_NETWORK, _NODE = "subtensor_network", "subtensor_chain_endpoint"


def load_settings(
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    cwd: Path,
    warn: Callable[[str], None],
) -> Settings:
    """Combine flags, environment and the settings file; raises ConfigError with one sentence.

    The file is `--env_file`, else `$MINER_ENV`, else `miner.env` in `cwd` if there is one. Official names are read as
    ours where they mean the same. `warn` is told of names that have no effect and of those that were translated.
    """
    flags, env_file, unknown_flags = read_flags(argv)
    if unknown_flags:
        raise ConfigError(unknown_sentence(unknown_flags))
    path = _settings_file(env_file or environ.get(ENV_FILE_VARIABLE), cwd)
    places = ((read_env_file(path) if path.is_file() else {}, path.name), (environ, ENVIRONMENT))
    sources = [*(read_variables(values, where) for values, where in places), flags]
    unknown = [one for values, where in places for one in unknown_names(values, where)]
    _refuse(sources, unknown)
    for sentence in (*(text for source in sources for text in source.warnings), *(one.sentence for one in unknown)):
        warn(sentence)
    return _settings_of(sources, warn)


def _settings_file(named: str | None, cwd: Path) -> Path:
    """The file to read, which exists if it was named."""
    path = expanded(named) if named else cwd / "miner.env"
    if named and not path.is_file():
        raise ConfigError(f"there is no settings file {path}: create it from miner.env.example or drop --env_file")
    return path


def _refuse(sources: Sequence[Source], unknown: Sequence[UnknownName]) -> None:
    """ConfigError with all that ends the start, if there is any."""
    sentences = [sentence for source in sources for sentence in source.refusals]
    sentences += [one.sentence for one in unknown if one.whom]
    if any(source.has_official_refusals for source in sources):
        sentences.append(FROM_OFFICIAL)
    if sentences:
        raise ConfigError("; ".join(sentences))


def _settings_of(sources: Sequence[Source], warn: Callable[[str], None]) -> Settings:
    """Later sources win; a value is checked even where another one wins over it."""
    values: dict[str, Any] = {}
    said: dict[str, NamedText] = {}
    for source in sources:
        for name, one in source.texts.items():
            parse_setting(field_named(name), one.text, one.label)
        _settle_network(said, source.texts, warn)
        said |= source.texts
    for name, one in said.items():
        values[name] = parse_setting(field_named(name), one.text, one.label)
    return Settings(**values)


def _settle_network(before: dict[str, NamedText], after: Mapping[str, NamedText], warn: Callable[[str], None]) -> None:
    """A node from a weaker source must not win over a network from a stronger one: the two are one choice."""
    if _NETWORK not in after or _NODE in after or _NODE not in before:
        return
    network, node = after[_NETWORK], before[_NODE]
    former = before[_NETWORK].text if _NETWORK in before else show_default(field_named(_NETWORK))
    if network.text == former:
        return
    if network.text != MOCK_NETWORK and "://" not in network.text:
        raise ConfigError(
            f"{network.label} names the network {network.text}, and {node.label} a node that would win over it: "
            "name a node of that network with --subtensor.chain_endpoint too"
        )
    warn(f"{node.label} has no effect: {network.label} names another network")
    del before[_NODE]


def read_env_file(path: Path) -> dict[str, str | None]:
    """The variables of a settings file; ConfigError when any of it cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST_FILE + 1)
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read {path}: {reason(error)}; move it away, or name another with --env_file"
        ) from None
    if len(data) > LONGEST_FILE:
        raise ConfigError(f"{path} is too large for a settings file: move it away, or name another with --env_file")
    values: dict[str, str | None] = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            raise ConfigError(
                f"{path} cannot be read from line {binding.original.line} on: write NAME=value and close all quotes"
            )
        if binding.key is not None:
            values[binding.key] = binding.value
    return values


def render_env_example() -> str:
    """The text of miner.env.example: every setting with its help and default."""
    lines = [
        "# Settings of the miner. Copy to miner.env and uncomment what you change.",
        "# Flags beat the environment, the environment beats this file.",
        "# The only secrets are those of alerts: keep this file to yourself (chmod 600), or each of them in its own.",
    ]
    for item in setting_fields():
        lines += ["", f"# {item.metadata['help']}", f"# Flag: {item.metadata['flag']}"]
        if len(item.metadata["env"]) > 1:
            lines.append(f"# Also read: {', '.join(item.metadata['env'][1:])}")
        if is_secret(item):
            lines.append(f"# From a file: {item.metadata['env'][0]}{FROM_FILE}")
        lines.append(f"#{item.metadata['env'][0]}={show_default(item)}")
    return "\n".join(lines) + "\n"


def render_settings_table() -> str:
    """The settings as a Markdown table, for docs/settings.md."""
    lines = ["| flag | miner.env / environment | default | what it does |", "|---|---|---|---|"]
    for item in setting_fields():
        written = (*item.metadata["env"], *([item.metadata["env"][0] + FROM_FILE] if is_secret(item) else []))
        names = ", ".join(f"`{name}`" for name in written)
        default = show_default(item)
        lines.append(
            f"| `{item.metadata['flag']}` | {names} | {f'`{default}`' if default else ''} | {item.metadata['help']} |"
        )
    return "\n".join(lines) + "\n"


def render_official_table() -> str:
    """The official names as a Markdown table, for docs/migrating.md."""
    lines = ["| official flag | official variable | here | whom it talks to |", "|---|---|---|---|"]
    for entry in NAMES:
        flag = f"`{entry.flag}`" if entry.flag else ""
        names = ", ".join(f"`{name}`" for name in entry.env)
        lines.append(f"| {flag} | {names} | {_here(entry)} | {'yes' if entry.whom else ''} |")
    return "\n".join(lines) + "\n"


def _here(entry: OfficialName) -> str:
    ours = f"`{field_named(entry.ours).metadata['flag']}`" if entry.ours else ""
    if entry.read is not None:
        return f"read as `--subtensor.network {MOCK_NETWORK}`" if entry.read is mock_network else f"read as {ours}"
    return f"{'refused' if entry.refused else 'no effect'}: {entry.why}"
