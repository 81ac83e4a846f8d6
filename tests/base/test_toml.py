"""A file of an operator is tables, or one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from streetvision.base import toml
from streetvision.base.toml import LIMIT_BYTES, parse_toml, read_toml
from streetvision.cost.prices import read_prices
from streetvision.errors import ConfigError, OperatorError
from streetvision.models.prompts import read_prompts
from streetvision.training.recipe_file import read_recipe


def large(path: Path) -> None:
    path.write_bytes(b"#" * (LIMIT_BYTES + 1))


def damaged(path: Path) -> None:
    path.write_text("[a\n")


def nested(path: Path) -> None:
    path.write_text("a = " + "[" * 5000)


def latin(path: Path) -> None:
    path.write_bytes("a = 'é'".encode("latin-1"))


def folder(path: Path) -> None:
    path.mkdir()


def unreadable(path: Path) -> None:
    path.symlink_to("/proc/self/mem")  # opens, and fails when it is read, for root too


def missing(_: Path) -> None:
    pass


BAD = [
    (large, "is larger than"),
    (damaged, "is no TOML"),
    (nested, "is no TOML"),
    (latin, "cannot be read"),
    (folder, "cannot be read"),
    (unreadable, "cannot be read"),
    (missing, "cannot be read"),
]


@pytest.mark.parametrize("read", [read_prices, read_prompts, read_recipe])
@pytest.mark.parametrize(("make", "told"), BAD)
def test_a_bad_file_is_one_sentence(
    make: Callable[[Path], None], told: str, read: Callable[[Path], object], tmp_path: Path
) -> None:
    make(tmp_path / "a.toml")
    with pytest.raises(OperatorError, match=told) as caught:
        read(tmp_path / "a.toml")
    assert "\n" not in str(caught.value)
    assert "a.toml" in str(caught.value)


def test_tables_are_read_with_or_without_a_mark_and_up_to_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbf[a]\nb = 1\n")
    assert read_toml(tmp_path / "a.toml", "a table") == {"a": {"b": 1}}
    monkeypatch.setattr(toml, "LIMIT_BYTES", (tmp_path / "a.toml").stat().st_size)
    assert read_toml(tmp_path / "a.toml", "a table") == {"a": {"b": 1}}


def test_the_caller_names_the_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"b\.toml cannot be read .*: give a recipe as a TOML file"):
        read_toml(tmp_path / "b.toml", "a recipe", ConfigError)
    with pytest.raises(ConfigError, match="the text is no TOML"):
        parse_toml("[", "the text", ConfigError)
