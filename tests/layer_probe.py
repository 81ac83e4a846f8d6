"""Run in a fresh interpreter: imports modules while packages are absent, and prints what they reach, as JSON.

Two ways past a reader of import statements are seen here: an import that happens in some other module of ours, and a
package that another package hands on (`from huggingface_hub.utils import httpx`).
"""

from __future__ import annotations

import importlib
import importlib.abc
import json
import sys
from collections.abc import Iterator, Sequence
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any


class Absent(importlib.abc.MetaPathFinder):
    """Makes packages look as if they were not installed."""

    def __init__(self, packages: Sequence[str]) -> None:
        self._packages = frozenset(packages)

    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        if name.partition(".")[0] in self._packages:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def reached(module: ModuleType, forbidden: frozenset[str]) -> Iterator[str]:
    """Names in a module that belong to a forbidden package, however they came there."""
    for name, value in sorted(vars(module).items()):
        if isinstance(value, ModuleType):
            owner = value.__name__
        elif isinstance(value, type | FunctionType | BuiltinFunctionType):
            owner = value.__module__ or ""
        else:
            continue
        if owner.partition(".")[0] in forbidden:
            yield f"{module.__name__}.{name} is of {owner}"


def probe(asked: dict[str, Any]) -> dict[str, list[str]]:
    """`own` modules are imported with `absent` packages away; `forbidden` ones may be there, but not in our hands."""
    sys.path[:0] = asked["path"]
    sys.meta_path.insert(0, Absent(asked["absent"]))
    failed = []
    for name in asked["own"]:
        try:
            importlib.import_module(name)
        except ImportError as error:
            failed.append(f"{name}: {error}")
    hands = [sys.modules[name] for name in asked["own"] if name in sys.modules]
    forbidden = frozenset(asked["forbidden"])
    return {
        "failed": failed,
        "reached": [text for module in hands for text in reached(module, forbidden)],
        "loaded": sorted(name for name in sys.modules if name.partition(".")[0] == asked["package"]),
    }


if __name__ == "__main__":
    print(json.dumps(probe(json.loads(sys.argv[1]))))
