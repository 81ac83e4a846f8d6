"""Recipes as TOML: the named ones that come with the package, an operator's own file, and single keys on top."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, is_dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, get_type_hints

from streetvision.base.toml import parse_toml, read_toml
from streetvision.training.recipe import Recipe, RecipeError

NAMED = ("quick", "lora", "full")
LARGEST = 1 << 63
"""Whole numbers of TOML are 64 bits wide; Python would read longer ones."""

Tables = dict[str, dict[str, Any]]
"""A recipe's sections by name, as TOML gives them."""


def named_recipe(name: str, overrides: Iterable[str] = ()) -> Recipe:
    """One of NAMED, with `section.key=value` on top; raises RecipeError."""
    if name not in NAMED:
        raise RecipeError(f"there is no recipe {name!r:.100}: choose {', '.join(NAMED)}, or give a file")
    text = files("streetvision.assets").joinpath("recipes", f"{name}.toml").read_text(encoding="utf-8")
    return parse_recipe(text, f"the recipe {name}", overrides)


def read_recipe(path: Path, overrides: Iterable[str] = ()) -> Recipe:
    """An operator's file, with `section.key=value` on top; raises RecipeError."""
    return _overridden(read_toml(path, "a recipe", RecipeError), str(path), overrides)


def parse_recipe(text: str, where: str, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe that a TOML text says; `where` names it in errors."""
    return _overridden(parse_toml(text, where, RecipeError), where, overrides)


def _overridden(tables: dict[str, Any], where: str, overrides: Iterable[str]) -> Recipe:
    for override in overrides:
        _override(tables, override)
    return _recipe(tables, where)


def to_toml(recipe: Recipe) -> str:
    """As a file that reads back to an equal recipe."""
    sections = []
    for section, keys in asdict(recipe).items():
        lines = [f"{key} = {literal(value)}" for key, value in keys.items()]
        sections.append("\n".join([f"[{section}]", *lines]))
    return "\n\n".join(sections) + "\n"


def _recipe(tables: Mapping[str, object], where: str) -> Recipe:
    hints = get_type_hints(Recipe)
    for name in tables:
        if name not in hints:
            raise RecipeError(f"{where} has the unknown section [{name:.100}]{_nearest(name, hints)}")
    return Recipe(**{name: _section(name, hints[name], table, where) for name, table in tables.items()})


def _section(name: str, kind: type, table: object, where: str) -> Any:  # noqa: ANN401  # one of Recipe's sections
    if not isinstance(table, dict):
        raise RecipeError(f"{where}: {name} is a section: write [{name}] and its keys below")
    hints = get_type_hints(kind)
    for key in table:
        if key not in hints:
            raise RecipeError(f"{where} has the unknown key {name}.{key:.100}{_nearest(key, hints)}")
    return kind(**{key: _value(f"{name}.{key}", hints[key], value) for key, value in table.items()})


def _value(key: str, kind: Any, value: object) -> Any:  # noqa: ANN401  # whatever the field holds
    """The value as its field wants it: a whole number may stand for a real one, one word for a list."""
    if isinstance(value, int) and abs(value) > LARGEST:
        raise RecipeError(f"{key} is a number of {len(str(abs(value))):,} digits: no key takes one so large")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind in (str, int, float, bool):
        if type(value) is not kind:
            raise RecipeError(f"{key} must be {_KINDS[kind]}, not {value!r:.100}")
        return value
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise RecipeError(f'{key} must be a list of words such as ["roadwork"], not {value!r:.100}')
    return tuple(words)


_KINDS: Mapping[type, str] = {str: "a text in quotes", int: "a whole number", float: "a number", bool: "true or false"}


def _override(tables: dict[str, Any], text: str) -> None:
    """Put `section.key=value` over what the file says; a value that is no TOML is taken as a text."""
    key, equals, value = text.partition("=")
    section, dot, name = key.strip().partition(".")
    if not (equals and dot and name):
        raise RecipeError(f"{text!r:.100} sets nothing: write --set section.key=value, such as --set run.batch=32")
    table = tables.setdefault(section, {})
    if isinstance(table, dict):
        table[name] = _parsed(value.strip())


def _parsed(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _nearest(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = next(iter(get_close_matches(name, names, n=1, cutoff=0.5)), None)
    return f": did you mean {near}?" if near is not None else f"; there are {', '.join(names)}"


def literal(value: object) -> str:
    """A value of a recipe as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.translate(_ESCAPES) + '"'
    if isinstance(value, tuple | list):
        return f"[{', '.join(literal(item) for item in value)}]"
    return repr(value)


_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(32), 127)} | {ord('"'): '\\"', ord("\\"): "\\\\"}


def changed(recipe: Recipe, other: Recipe) -> list[str]:
    """The keys, as section.key, in which two recipes differ."""
    found = []
    for section in fields(recipe):
        mine, theirs = getattr(recipe, section.name), getattr(other, section.name)
        if is_dataclass(mine):
            found += [
                f"{section.name}.{key.name}"
                for key in fields(mine)
                if getattr(mine, key.name) != getattr(theirs, key.name)
            ]
    return found
