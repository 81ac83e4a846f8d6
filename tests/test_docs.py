"""The generated page of results says what the results say, and no page points nowhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def render_docs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("render_docs", ROOT / "scripts" / "render_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_benchmarks_page_is_current() -> None:
    page: str = render_docs().render_benchmarks(ROOT / "benchmarks" / "results")
    assert (ROOT / "docs" / "benchmarks.md").read_text() == page


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_paths_named_in_code_exist(page: Path) -> None:
    for path in re.findall(r"`((?:streetvision|scripts|benchmarks|kernels|neurons|tests)/[\w./-]+)`", page.read_text()):
        assert (ROOT / path).exists(), path


def test_modules_named_in_the_code_exist() -> None:
    files = [file for room in ("streetvision", "kernels", "neurons", "scripts") for file in (ROOT / room).rglob("*.py")]
    there = {file.name for file in (*files, *(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "tests").rglob("*.py"))}
    for file in files:
        named = re.findall(r"(?<![\w.-])(?:[a-z_]+/)*([a-z_0-9]+\.py)\b", file.read_text())
        assert set(named) <= there, file
