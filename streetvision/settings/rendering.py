"""The texts that are generated from the settings: miner.env.example and the tables of the docs."""

from __future__ import annotations

from collections.abc import Iterable

from streetvision.settings.fields import FROM_FILE, GROUPS, SETTINGS, Setting, setting
from streetvision.settings.official import NAMES, OfficialName, mock_network
from streetvision.settings.parsing import MOCK_NETWORK

FIRST = (
    *("wallet.name", "wallet.hotkey", "axon.port", "axon.external_ip"),
    *("model", "model.repo", "device", "alerts.discord_url"),
)
"""Most miners set these: `streetvision init` asks for them, and for the network before."""


def render_env_example() -> str:
    """The text of miner.env.example: every setting with its help and default."""
    lines = [
        "# Settings of the miner. Copy to miner.env and uncomment what you change.",
        "# Flags beat the environment, the environment beats this file.",
        "# Its only secrets are those of alerts and of the oracle: keep it to yourself (chmod 600), or each in a file.",
    ]
    for item in SETTINGS:
        lines += ["", f"# {item.help}", f"# Flag: {item.flag}"]
        if len(item.env) > 1:
            lines.append(f"# Also read: {', '.join(item.env[1:])}")
        if item.is_secret:
            lines.append(f"# From a file: {item.env[0]}{FROM_FILE}")
        lines.append(f"#{item.env[0]}={item.default_text}")
    return "\n".join(lines) + "\n"


def render_settings_tables() -> str:
    """The settings as Markdown for docs/settings.md: what matters first, what has no group, then each group."""
    sections = [_section("The eight that matter first", [setting(name) for name in FIRST])]
    sections.append(_section("Without a group", [item for item in SETTINGS if not item.group]))
    for group, declared in GROUPS.items():
        title = str(declared.__doc__).rstrip(".")
        sections.append(_section(title, [item for item in SETTINGS if item.group == group]))
    return "\n".join(sections)


def _section(title: str, items: Iterable[Setting]) -> str:
    lines = [f"## {title}", "| flag | miner.env / environment | default | what it does |", "|---|---|---|---|"]
    for item in items:
        written = (*item.env, *([item.env[0] + FROM_FILE] if item.is_secret else []))
        names = ", ".join(f"`{name}`" for name in written)
        default = f"`{item.default_text}`" if item.default_text else ""
        lines.append(f"| `{item.flag}` | {names} | {default} | {item.help} |")
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
    ours = f"`{setting(entry.ours).flag}`" if entry.ours else ""
    if entry.read is not None:
        return f"read as `--subtensor.network {MOCK_NETWORK}`" if entry.read is mock_network else f"read as {ours}"
    return f"{'refused' if entry.refused else 'no effect'}: {entry.why}"
