"""Rooms below know nothing of the rooms above: `models`, `engine`, `kernels` and `training` run alone on a GPU box."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from streetvision.runner.precision_cache import CODE

ROOT = Path(__file__).parent.parent
CHAIN_AND_WEB = frozenset(
    [
        *("bittensor", "loguru", "pydantic"),
        *("starlette", "uvicorn", "httptools", "httpx", "aiohttp", "websockets", "requests"),
    ]
)
THIRD_PARTY_NEEDS = frozenset({"httpx", "requests", "pydantic"})
"""timm and transformers need these themselves; nothing of ours may reach for them there."""
HUB = frozenset(
    {
        *("hub", "hub_client", "hub_errors", "hub_files", "hub_look", "hub_publish", "hub_pull", "hub_upload"),
        *("card", "classifiers", "importers", "readme"),
    }
)
"""Files in models/ that speak to Hugging Face: a room of their own."""


@dataclass(frozen=True)
class Room:
    """Files of one room, the rooms of streetvision that it may import, and packages that it must not reach."""

    folder: str
    rooms: frozenset[str]
    forbidden: frozenset[str]
    stems: frozenset[str] = frozenset()
    """These files of the folder alone."""
    without: frozenset[str] = frozenset()

    def files(self) -> list[Path]:
        found = [path for path in sorted((ROOT / self.folder).rglob("*.py")) if path.stem not in self.without]
        return [path for path in found if not self.stems or path.stem in self.stems]

    def modules(self) -> list[str]:
        folder = self.folder.replace("kernels", "streetvision_kernels").replace("/", ".")
        return [folder if path.stem == "__init__" else f"{folder}.{path.stem}" for path in self.files()]


def room(folder: str, rooms: str, forbidden: frozenset[str] = CHAIN_AND_WEB, **files: frozenset[str]) -> Room:
    return Room(folder, frozenset(rooms.split()), forbidden, **files)


ROOMS = {
    "kernels": room("kernels", ""),
    "models": room("streetvision/models", "errors subnet models", without=HUB),
    "hub": room("streetvision/models", "errors subnet models", CHAIN_AND_WEB - {"httpx"}, stems=HUB),
    "training": room("streetvision/training", "errors resources models training"),
    "engine": room("streetvision/engine", "errors subnet counting resources models engine"),
    "net": room("streetvision/net", "errors net", frozenset({"bittensor", "torch", "httpx", "aiohttp", "fastapi"})),
}
ALONE = ("kernels", "models", "training", "engine")
"""What a GPU box imports."""


def names(node: ast.AST) -> Iterator[str]:
    """Every package or module that a piece of code could mean: imported, handed on by another, or looked up."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        prefix = "streetvision." if node.module == "streetvision" else ""
        yield from (prefix + alias.name for alias in node.names)
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in ("import_module", "__import__"):
            yield str(node.args[0].value)


def upward(path: Path, room: Room) -> list[str]:
    """What a file names that its room must not know; imports inside functions count, relative ones do not exist."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: a relative import"
        for name in names(node):
            parts = name.split(".")
            ours = parts[0] == "streetvision" and len(parts) > 1 and parts[1] not in room.rooms
            if parts[0] in room.forbidden or ours:
                found.append(name)
    return found


def probed(modules: list[str], absent: frozenset[str], forbidden: frozenset[str], **more: Any) -> dict[str, list[str]]:
    """See layer_probe.py."""
    asked = {"own": modules, "absent": sorted(absent), "forbidden": sorted(forbidden), "path": []}
    asked |= {"package": "streetvision"} | more
    script = [sys.executable, str(Path(__file__).parent / "layer_probe.py"), json.dumps(asked)]
    done = subprocess.run(script, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("room", ROOMS.values(), ids=ROOMS.keys())
def test_a_room_names_nothing_from_above(room: Room) -> None:
    assert room.files()
    found = {str(path.relative_to(ROOT)): upward(path, room) for path in room.files()}
    assert not {path: names for path, names in found.items() if names}


@pytest.mark.parametrize("name", ["http", "app"])
def test_the_operators_port_needs_nothing_of_the_axon(name: str) -> None:
    tree = ast.parse((ROOT / "streetvision" / "control" / f"{name}.py").read_text(encoding="utf-8"))
    assert not [found for node in ast.walk(tree) for found in names(node) if found.startswith("streetvision.axon")]


def test_every_file_of_the_hub_is_there() -> None:
    assert {path.stem for path in ROOMS["hub"].files()} == HUB


def test_a_gpu_box_needs_no_chain_and_no_web() -> None:
    modules = [module for name in ALONE for module in ROOMS[name].modules()]
    found = probed(modules, CHAIN_AND_WEB - THIRD_PARTY_NEEDS, CHAIN_AND_WEB)
    assert (found["failed"], found["reached"]) == ([], [])
    rooms = {name.split(".")[1] for name in found["loaded"] if "." in name}
    assert rooms <= {allowed for name in ALONE for allowed in ROOMS[name].rooms}
    assert not HUB & {name.split(".")[2] for name in found["loaded"] if name.startswith("streetvision.models.")}


def test_the_net_needs_no_room_above() -> None:
    net = ROOMS["net"]
    found = probed(net.modules(), net.forbidden, net.forbidden)
    assert (found["failed"], found["reached"]) == ([], [])
    assert {name.split(".")[1] for name in found["loaded"] if "." in name} == {"errors", "net"}


@pytest.mark.parametrize(
    "reach",
    [
        "import httpx",
        "from huggingface_hub.utils import httpx",
        "from huggingface_hub.utils import httpx as web",
        "from huggingface_hub import utils\n\ntimeout = utils.httpx.Timeout(1.0)",
        "def later():\n    from huggingface_hub.utils import httpx\n    return httpx",
        "import importlib\nweb = importlib.import_module('httpx')",
        "from streetvision import miner",
        "import streetvision.axon.wire",
    ],
)
def test_a_reach_is_seen_in_the_text(reach: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(reach)
    assert upward(tmp_path / "a.py", ROOMS["models"])


def test_a_reach_is_seen_at_run_time(tmp_path: Path) -> None:
    package = tmp_path / "planted"
    package.mkdir()
    files = {
        "__init__": "",
        "third": "import httpx",
        "handed_on": "from planted import third\nweb = third.httpx",
        "a_class": "from planted.third import httpx\nTimeout = httpx.Timeout",
        "above": "import aiohttp",
        "through_ours": "from planted import above",
        "innocent": "from planted import third",
    }
    for name, text in files.items():
        (package / f"{name}.py").write_text(text)
    own = [f"planted.{name}" for name in ("handed_on", "a_class", "through_ours", "innocent")]
    forbidden = frozenset({"httpx", "aiohttp"})
    found = probed(own, frozenset({"aiohttp"}), forbidden, path=[str(tmp_path)], package="planted")
    assert found["failed"] == ["planted.through_ours: No module named 'aiohttp'"]
    assert {text.split(" ")[0] for text in found["reached"]} == {
        *("planted.handed_on.web", "planted.a_class.httpx", "planted.a_class.Timeout")
    }


def test_the_miner_imports_nothing_of_training() -> None:
    """Drawing and training stay off the serving path, inside functions too."""
    reached, waiting = set[str](), ["streetvision.miner.process"]
    while waiting:
        module = waiting.pop()
        path = file_of(module)
        if module in reached or path is None:
            continue
        reached.add(module)
        waiting += [name for name in modules_in(path) if name.startswith("streetvision.")]
    assert {
        "streetvision.runner.choose_cpu",
        "streetvision.runner.calibration_images",
        "streetvision.models.golden",
    } <= reached
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
    "streetvision.runner.cuda_graphs",
    "streetvision.engine.types",
    "streetvision.runner.precision_cache",
    "streetvision.errors",
    "streetvision.models.architectures",
    "streetvision.models.checkpoint",
    "streetvision.models.checks",
    "streetvision.models.config",
    "streetvision.base.disk",
    "streetvision.models.folder",
    "streetvision.models.header",
    "streetvision.models.dinov3",
    "streetvision.models.versions",
}
"""What stands below the forwards and cannot change what they answer."""


def test_a_verdict_rests_on_all_that_computes_it() -> None:
    """A new file below the forwards is either part of the key under which verdicts are kept, or computes nothing."""
    reached, waiting = set[str](), ["streetvision.runner.choose_cpu", "streetvision.runner.choose_cuda"]
    while waiting:
        module = waiting.pop()
        path = file_of(module)
        if module in reached | COMPUTES_NOTHING or path is None or not module.startswith("streetvision."):
            continue
        reached |= {module} if path.name != "__init__.py" else set()
        waiting += modules_in(path)
    keyed = {f"streetvision.{name.removesuffix('.py').replace('/', '.')}" for name in CODE if name.endswith(".py")}
    assert reached == keyed
