"""The backbones that a description may name: every file in this folder is one, and is all that a new one takes.

A file holds `ARCHITECTURE`, an `Architecture`, and imports torch only where one is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from streetvision.models.architecture import Architecture
from streetvision.models.checks import check


@cache
def architectures() -> tuple[Architecture, ...]:
    """All that there are, by their files' names."""
    names = sorted(module.name for module in iter_modules(__path__))
    return tuple(import_module(f"{__name__}.{name}").ARCHITECTURE for name in names)


def architecture_of(name: object) -> Architecture:
    """The one that answers to that name; raises CheckpointError where none does."""
    named = [known for known in architectures() if isinstance(name, str) and known.names.fullmatch(name)]
    described = " or ".join(known.described for known in architectures())
    check(bool(named), f"architecture must be {described}, not {name!r:.200}")
    return named[0]


def check_architecture(name: object, kwargs: Mapping[str, object]) -> None:
    """Raise CheckpointError unless this backbone can be built."""
    known = architecture_of(name)
    check(isinstance(kwargs, Mapping), "architecture_kwargs must be an object")
    known.check(kwargs)
