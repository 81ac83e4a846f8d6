"""The generated page of results says what the results say, no page points nowhere, and none is long."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from benchmark_verdicts import VERDICTS, Results, Verdict
from benchmarks_page import heading_anchor, render_benchmarks
from cost_page import render_cost

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
GENERATED = {"benchmarks.md", "settings.md", "migrating.md"}
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


def test_benchmarks_page_is_current() -> None:
    assert (ROOT / "docs" / "benchmarks.md").read_text() == render_benchmarks(RESULTS)


def test_the_page_on_cost_is_current() -> None:
    assert (ROOT / "docs" / "cost.md").read_text() == render_cost(Results(RESULTS))


@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda verdict: verdict.question)
def test_a_verdict_follows_its_results(verdict: Verdict, tmp_path: Path) -> None:
    for name in verdict.sections:
        result = json.loads((RESULTS / f"{name}.json").read_text())
        result["rows"] = [{key: remeasured(key, value) for key, value in row.items()} for row in result["rows"]]
        (tmp_path / f"{name}.json").write_text(json.dumps(result))
    other = verdict.answer(Results(tmp_path))  # reads nothing but the sections that it names
    assert other != verdict.answer(Results(RESULTS))
    assert re.sub(r"[\d.,+%-]+", "", other) == re.sub(r"[\d.,+%-]+", "", verdict.answer(Results(RESULTS)))


def remeasured(key: str, value: Any) -> Any:
    """A figure, half as large again; whatever tells rows apart as it is."""
    told_apart = isinstance(value, str | bool | None) or key in ("batch", "k")
    return value if told_apart else value * 1.5


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_every_page_is_found_from_the_readme() -> None:
    found, left = set(), [ROOT / "README.md"]
    while left:
        page = left.pop()
        if page not in found:
            found.add(page)
            targets = re.findall(r"\]\(([^)#:]+\.md)", page.read_text())
            left += [(page.parent / target).resolve() for target in targets]
    assert set(PAGES) - found == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_into_pages_name_a_heading(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text()):
        text = (page.parent / target if target else page).read_text()
        assert anchor in {heading_anchor(line) for line in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}, anchor


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in GENERATED], ids=lambda p: p.name)
def test_a_page_is_short(page: Path) -> None:
    assert len(page.read_text().splitlines()) <= 250


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_modules_named_in_text_exist(page: Path) -> None:
    for name in re.findall(r"(?:`|from |import )(streetvision(?:\.\w+)+)", page.read_text()):
        place, _, last = name.rpartition(".")
        holder = ROOT / place.replace(".", "/")
        is_module = (holder / last).is_dir() or (holder / f"{last}.py").is_file()
        assert is_module or re.search(rf"^(def|class) {last}\b", holder.with_suffix(".py").read_text(), re.M), name


def test_pages_named_by_the_program_exist() -> None:
    files = [path for folder in ("streetvision", "scripts", "neurons") for path in (ROOT / folder).rglob("*.*")]
    texts = [path.read_text() for path in files if path.suffix in {".py", ".js", ".yml", ".service"}]
    named = {name for text in texts for name in re.findall(r"docs/[\w/-]+\.md", text)}
    assert {name for name in named if not (ROOT / name).is_file()} == set()


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
