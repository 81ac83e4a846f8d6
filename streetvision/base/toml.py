"""An operator's TOML file, read within bounds: what is amiss is one sentence."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from streetvision.errors import OperatorError, reason

LIMIT_BYTES = 1 << 20


def read_toml(path: Path, what: str, error: type[OperatorError] = OperatorError) -> dict[str, Any]:
    """The tables of a file; `what` it should be, such as `a recipe`, stands in the sentence. Raises `error`."""
    try:
        with path.open("rb") as file:
            data = file.read(LIMIT_BYTES + 1)  # a device may have no end, and a pipe no size
        text = data.decode("utf-8-sig") if len(data) <= LIMIT_BYTES else None
    except (OSError, UnicodeError) as trouble:
        raise error(f"{path} cannot be read ({reason(trouble)}): give {what} as a TOML file") from trouble
    if text is None:
        raise error(f"{path} is larger than {what}: give a small TOML file")
    return parse_toml(text, str(path), error)


def parse_toml(text: str, where: str, error: type[OperatorError] = OperatorError) -> dict[str, Any]:
    """The tables of a text; `where` names it in the sentence. Raises `error`."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as trouble:
        raise error(f"{where} is no TOML ({reason(trouble)})") from trouble
