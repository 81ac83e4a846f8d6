"""Rooms below know nothing of the rooms above: `models`, `engine`, `kernels` and `training` run alone on a GPU box."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from streetvision.engine.verdicts import CODE

ROOT = Path(__file__).parent.parent
BELOW = {
    "streetvision/models": {"errors", "subnet", "models"},
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


def test_the_miner_imports_nothing_of_training() -> None:
    """Drawing and training stay off the serving path, inside functions too."""
    reached, waiting = set[str](), ["streetvision.neuron"]
    while waiting:
        module = waiting.pop()
        path = file_of(module)
        if module in reached or path is None:
            continue
        reached.add(module)
        waiting += [name for name in modules_in(path) if name.startswith("streetvision.")]
    assert {"streetvision.engine.choosing", "streetvision.models.calibration", "streetvision.models.golden"} <= reached
    assert not [module for module in reached if module.startswith("streetvision.training")]


def file_of(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def modules_in(path: Path) -> Iterator[str]:
    """What a file imports; a name imported from a package may be a module of it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


COMPUTES_NOTHING = {
    "streetvision.engine.compiling",
    "streetvision.engine.types",
    "streetvision.engine.verdicts",
    "streetvision.errors",
    "streetvision.models.architectures",
    "streetvision.models.checkpoint",
    "streetvision.models.checks",
    "streetvision.models.config",
    "streetvision.models.disk",
    "streetvision.models.folder",
    "streetvision.models.header",
    "streetvision.models.skeleton",
}
"""What stands below the forwards and cannot change what they answer."""


def test_a_verdict_rests_on_all_that_computes_it() -> None:
    """A new file below the forwards is either part of the key under which verdicts are kept, or computes nothing."""
    reached, waiting = set[str](), ["streetvision.engine.choosing", "streetvision.engine.forwards"]
    while waiting:
        module = waiting.pop()
        path = file_of(module)
        if module in reached | COMPUTES_NOTHING or path is None or not module.startswith("streetvision."):
            continue
        reached |= {module} if path.name != "__init__.py" else set()
        waiting += modules_in(path)
    keyed = {f"streetvision.{name.removesuffix('.py').replace('/', '.')}" for name in CODE if name.endswith(".py")}
    assert reached == keyed
