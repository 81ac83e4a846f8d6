"""One spelling of options: as bittensor's miners spell their flags, with underscores; dashes are read too."""

from __future__ import annotations

from typing import Any


def spelt(name: str) -> str:
    """An option's name, whatever it is written with."""
    return name.replace("-", "_")


def with_underscores(command: Any) -> Any:  # noqa: ANN401 - typer's own class of commands is private
    """The command and those below it, with that spelling in their help and completion."""
    for parameter in command.params:
        if parameter.param_type_name == "option":
            parameter.opts = _unique(parameter.opts)
            parameter.secondary_opts = _unique(parameter.secondary_opts)
    for below in getattr(command, "commands", {}).values():
        with_underscores(below)
    return command


def _unique(options: list[str]) -> list[str]:
    return list(dict.fromkeys(f"--{spelt(option[2:])}" if option.startswith("--") else option for option in options))
