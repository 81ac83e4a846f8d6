"""The pages say only what works: commands, options, flags, targets, files and variables exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streetvision.cli.main import commands
from streetvision.settings.fields import variables
from streetvision.settings.flags import build_parser

ROOT = Path(__file__).parents[1]
PAGE = "\n".join(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")) if path.name != "migrating.md")
COMMANDS: Any = commands()
FLAGS = {flag for action in build_parser()._actions for flag in action.option_strings}
ENDS = {"&&", "||", "|", ">", ">>", ";"}
NOT_OURS = {
    "PATH",
    "HOME",
    "SystemMaxUse",
    "PYTHON",
    "CUDA_DEVICE_MAX_CONNECTIONS",
    "FIFTYONE_DO_NOT_TRACK",
    "RAY_AUTH_MODE",
}


def written() -> Iterator[str]:
    """Every command: the lines of console blocks, and what stands in backticks."""
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        yield from (line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ "))
    without_blocks = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    spans = re.findall(r"`([^`]+)`", without_blocks)
    yield from (code.replace("\n", " ") for code in spans if "|" not in code)


def calls(*programs: str) -> list[list[str]]:
    """The words after one of these programs, up to the end of that command."""
    found = []
    for line in written():
        words = shlex.split(line.replace("...", "")) if line.count('"') % 2 == 0 and "'" not in line else line.split()
        for place, word in enumerate(words):
            if any(word == program or word.endswith(f"/{program}") for program in programs):
                rest = words[place + 1 :]
                end = next((i for i, after in enumerate(rest) if after in ENDS or after.endswith(";")), len(rest))
                found.append(rest[:end])
    return found


OURS = [words for words in calls("streetvision") if words and not words[0].startswith(("-", "/", "~", "streetvision"))]
STARTS = calls("neurons/miner.py", "miner.py")


@pytest.mark.parametrize("words", OURS, ids=" ".join)
def test_commands_exist_with_their_options(words: list[str]) -> None:
    command, names = COMMANDS, list(words)
    while names and names[0] in getattr(command, "commands", {}):
        command = command.commands[names.pop(0)]
    default = getattr(command, "default_command", None)
    command = command.commands[default] if default and names else command
    assert not (hasattr(command, "commands") and names), f"streetvision has no {' '.join(words)}"
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    if command.context_settings.get("ignore_unknown_options"):
        known |= FLAGS | {"--json"}
    for option in (word for word in names if word.startswith("-")):
        assert option in known, f"{' '.join(words)}: {option}"


def test_the_page_names_commands_to_test() -> None:
    named = {words[0] for words in OURS}
    assert {"init", "doctor", "completion", "register", "replay", "status", "models"} <= named
    assert len(STARTS) >= 4


@pytest.mark.parametrize("words", STARTS, ids=" ".join)
def test_the_miners_flags_parse(words: list[str]) -> None:
    build_parser().parse_args(words)


def test_flags_in_the_text_exist() -> None:
    without_blocks = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    options = {
        option
        for command in every_command(COMMANDS)
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    ours = "".join(path.read_text() for path in (ROOT / "scripts").glob("*.py"))
    options |= set(re.findall(r'add_argument\("(--[\w-]+)"', ours))
    for flag in re.findall(r"`(--[\w.-]+)(?![\w.*-])", without_blocks):
        assert flag in FLAGS | options, flag


def every_command(group: Any) -> Iterator[Any]:
    for command in group.commands.values():
        yield from every_command(command) if hasattr(command, "commands") else [command]


def test_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = [word for words in calls("make") for word in words if not word.startswith(("-", "/")) and "=" not in word]
    assert named
    assert set(named) <= targets


def test_files_exist() -> None:
    named = set(re.findall(r"(?<![\w/])scripts/[\w.-]+\w", PAGE))
    assert len(named) >= 5
    for name in named:
        assert (ROOT / name).exists(), name


def test_variables_are_read_by_somebody() -> None:
    settings = {*variables(), "MINER_ENV", *re.findall(r"\$\((\w+)\)", (ROOT / "Makefile").read_text())}
    scripts = "".join(
        (ROOT / "scripts" / name).read_text()
        for name in ("ecosystem.config.js", "docker-compose.yml", "streetvision.service", "Dockerfile")
    )
    for name in set(re.findall(r"\b([A-Z][A-Z_]{3,})(?==)", PAGE)) - NOT_OURS:
        assert name in settings or name in scripts, name


def test_service_names_are_the_files_own() -> None:
    for file in ("ecosystem.config.js", "retrain.config.js", "fleet.config.js"):
        assert 'STREETVISION_NAME || "streetvision"' in (ROOT / "scripts" / file).read_text()
    for words in calls("systemctl"):
        for unit in (word for word in words if word.startswith("streetvision")):
            template, at, _ = unit.partition("@")  # of a template, the unit is an instance
            assert (ROOT / "scripts" / f"{template}{at}.service").is_file()
