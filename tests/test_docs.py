"""The generated page of results says what the results say, and no page points nowhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from benchmark_verdicts import VERDICTS, Results, Verdict
from benchmarks_page import heading_anchor, render_benchmarks

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def test_benchmarks_page_is_current() -> None:
    assert (ROOT / "docs" / "benchmarks.md").read_text() == render_benchmarks(RESULTS)


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


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_into_pages_name_a_heading(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text()):
        text = (page.parent / target if target else page).read_text()
        assert anchor in {heading_anchor(line) for line in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}, anchor


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_paths_named_in_code_exist(page: Path) -> None:
    for path in re.findall(r"`((?:streetvision|scripts|benchmarks|kernels|neurons|tests)/[\w./-]+)`", page.read_text()):
        assert (ROOT / path).exists(), path
