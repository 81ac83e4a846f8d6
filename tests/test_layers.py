"""Rooms below know nothing of the rooms above: `models`, `engine`, `kernels` and `training` run alone on a GPU box."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BELOW = {
    "streetvision/models": {"errors", "subnet", "models", "training"},
    "streetvision/training": {"errors", "resources", "models", "training"},
    "streetvision/engine": {"errors", "subnet", "counting", "resources", "models", "engine"},
    "kernels": set[str](),
}
"""The rooms of streetvision that each of these may import."""
ABOVE = {"bittensor", "starlette", "uvicorn", "loguru", "pydantic", "httpx", "aiohttp", "websockets"}


def imported(folder: Path) -> Iterator[tuple[str, str]]:
    """Every absolute import in the files of a folder, those inside functions too: the file and the module."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                yield str(path.relative_to(ROOT)), node.module
            elif isinstance(node, ast.Import):
                yield from ((str(path.relative_to(ROOT)), alias.name) for alias in node.names)


@pytest.mark.parametrize("folder", BELOW)
def test_a_room_imports_nothing_from_above(folder: str) -> None:
    found = [(path, module.split(".")) for path, module in imported(ROOT / folder)]
    assert found
    upward = [
        (path, ".".join(module))
        for path, module in found
        if module[0] in ABOVE or (module[0] == "streetvision" and module[1] not in BELOW[folder])
    ]
    assert not upward
