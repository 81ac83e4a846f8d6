"""Each room knows only rooms below it; those that a GPU box needs run there alone, without chain, web or log."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from streetvision.runner.order import EXTRAS
from streetvision.runner.precision_cache import judged_by

ROOT = Path(__file__).parent.parent
CHAIN_AND_WEB = frozenset(
    [
        *("bittensor", "loguru", "pydantic"),
        *("starlette", "uvicorn", "httptools", "httpx", "aiohttp", "websockets", "requests"),
    ]
)
THIRD_PARTY_NEEDS = frozenset({"httpx", "requests", "pydantic"})
"""timm and transformers need these themselves; nothing of ours may reach for them there."""
FLOORS: tuple[str, ...] = (
    "cli",
    "rehearsal fleet",
    "doctor demo retrain",
    "miner",
    "page challenge",
    "status",
    "control alerts",
    "video",
    "monitor mining serverless",
    "synthesis",
    "labelling cost",
    "prediction_log retrain_log",
    "axon",
    "training",
    "evaluation",
    "sources",
    "cluster",
    "hub runner rollout",
    "registry chain engine",
    "models settings",
    "net scenes",
    "base",
    "errors subnet assets",
)
"""The rooms of streetvision from the top floor down; a room imports those of lower floors and itself."""

FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms.split()}

FORBIDDEN: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("models", "engine", "runner", "registry", "training", "evaluation", "scenes"), CHAIN_AND_WEB),
    "hub": CHAIN_AND_WEB - {"httpx"},
    "sources": CHAIN_AND_WEB - {"httpx"},
    "net": frozenset({"bittensor", "torch", "httpx", "aiohttp", "fastapi"}),
}
"""Packages that a room must not reach, whoever hands them on."""

ALONE = ("models", "engine", "runner", "training", "evaluation", "scenes")
"""With the kernels, what a GPU box imports."""


def files(room: str) -> list[Path]:
    return sorted((ROOT / "streetvision" / room).rglob("*.py"))


def modules(room: str) -> list[str]:
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files(room)]
    return [name.removesuffix(".__init__") for name in names]


KERNELS = [
    "streetvision_kernels",
    *(f"streetvision_kernels.{path.stem}" for path in sorted((ROOT / "kernels").glob("[!_]*.py"))),
]


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


def upward(path: Path, room: str, forbidden: frozenset[str]) -> list[str]:
    """What a file names that its room must not know; imports inside functions count, relative ones do not exist."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: a relative import"
        for name in names(node):
            first, _, rest = name.partition(".")
            above = first == "streetvision" and rest and not _is_below(room, rest.partition(".")[0])
            if first in forbidden or above:
                found.append(name)
    return found


def _is_below(room: str, other: str) -> bool:
    if other == "__version__":
        return True
    return other == room or FLOOR.get(other, -1) > FLOOR[room]


def probed(modules: list[str], absent: frozenset[str], forbidden: frozenset[str], **more: Any) -> dict[str, list[str]]:
    """See layer_probe.py."""
    asked = {"own": modules, "absent": sorted(absent), "forbidden": sorted(forbidden), "path": []}
    asked |= {"package": "streetvision"} | more
    script = [sys.executable, str(Path(__file__).parent / "layer_probe.py"), json.dumps(asked)]
    done = subprocess.run(script, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_every_room_has_its_floor() -> None:
    found = {path.parent.name for path in (ROOT / "streetvision").glob("*/__init__.py")}
    assert found | {"errors", "subnet"} == set(FLOOR)
    at_the_root = {path.stem for path in (ROOT / "streetvision").glob("*.py")}
    assert at_the_root == {"__init__", "__main__", "errors", "subnet"}


@pytest.mark.parametrize("room", sorted(FLOOR.keys() - {"errors", "subnet"}))
def test_a_room_names_nothing_from_above(room: str) -> None:
    assert files(room)
    found = {str(path.relative_to(ROOT)): upward(path, room, FORBIDDEN.get(room, frozenset())) for path in files(room)}
    assert not {path: names for path, names in found.items() if names}


def test_the_kernels_name_nothing_of_ours() -> None:
    for path in (ROOT / "kernels").glob("*.py"):
        named = {name.partition(".")[0] for node in ast.walk(ast.parse(path.read_text())) for name in names(node)}
        assert not named & (CHAIN_AND_WEB | {"streetvision"}), path


@pytest.mark.parametrize("name", ["http", "app"])
def test_the_operators_port_needs_nothing_of_the_axon(name: str) -> None:
    tree = ast.parse((ROOT / "streetvision" / "control" / f"{name}.py").read_text(encoding="utf-8"))
    assert not [found for node in ast.walk(tree) for found in names(node) if found.startswith("streetvision.axon")]


def is_absent(module: str) -> bool:
    """Whether a module is of a runner whose extra is not installed; such files are named by their package."""
    package, _, rest = module.rpartition(".")[2].partition("_")
    return package in EXTRAS and bool(rest) and find_spec(package) is None


def test_a_gpu_box_needs_no_chain_and_no_web() -> None:
    found = probed(
        [*KERNELS, *(module for room in ALONE for module in modules(room) if not is_absent(module))],
        CHAIN_AND_WEB - THIRD_PARTY_NEEDS,
        CHAIN_AND_WEB,
    )
    assert (found["failed"], found["reached"]) == ([], [])
    rooms = {name.split(".")[1] for name in found["loaded"] if "." in name}
    assert rooms <= {*ALONE, "base", "errors", "registry", "sources", "subnet"}


def test_the_net_needs_no_room_above() -> None:
    found = probed(modules("net"), FORBIDDEN["net"], FORBIDDEN["net"])
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
    assert upward(tmp_path / "a.py", "models", CHAIN_AND_WEB)


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
        "streetvision.runner.choose",
        "streetvision.runner.calibration_images",
        "streetvision.models.golden",
    } <= reached
    assert not [module for module in reached if module.startswith(("streetvision.training", "streetvision.scenes"))]


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
    "streetvision.runner.question",
    "streetvision.errors",
    "streetvision.models.architecture",
    "streetvision.models.checkpoint",
    "streetvision.models.checks",
    "streetvision.models.config",
    "streetvision.base.disk",
    "streetvision.models.folder",
    "streetvision.models.header",
    "streetvision.models.versions",
}
"""What stands below the forwards and cannot change what they answer."""


def test_a_verdict_rests_on_all_that_computes_it() -> None:
    """A new file below the forwards is either part of the key under which verdicts are kept, or computes nothing."""
    reached, waiting = set[str](), ["streetvision.runner.choose"]
    for folder in ("architectures", "heads"):  # whose files are found by their names
        files = (ROOT / "streetvision" / "models" / folder).glob("*.py")
        waiting += [f"streetvision.models.{folder}.{path.stem}" for path in files]
    while waiting:
        module = waiting.pop()
        path = file_of(module)
        if module in reached | COMPUTES_NOTHING or path is None or not module.startswith("streetvision."):
            continue
        reached |= {module} if path.name != "__init__.py" else set()
        waiting += modules_in(path)
    judged = [path for path in judged_by() if path.suffix == ".py" and path.name != "__init__.py"]
    keyed = {path.relative_to(ROOT) for path in judged if path.is_relative_to(ROOT / "streetvision")}
    assert reached == {".".join(path.with_suffix("").parts) for path in keyed}
