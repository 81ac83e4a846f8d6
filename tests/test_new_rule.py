"""A new rule is one file: the pass, the alerts, the doctor, the status and the documents take it from there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from streetvision.alerts.policy import unproven
from streetvision.alerts.schedule import AlertPolicy, advance
from streetvision.alerts.state import AlertState
from streetvision.cli.status_view import view
from streetvision.doctor.check import Mark, Report, ok
from streetvision.doctor.examination import arranged
from streetvision.doctor.report import lines_of
from streetvision.monitor import rules
from streetvision.monitor.finding import Severity
from streetvision.monitor.observation import MachineView, Observation
from streetvision.monitor.rule_pass import RulePass, is_grave, rule_pass
from streetvision.monitor.rules_table import rules_table, with_rules_table
from streetvision.page.sections import findings as page_findings
from streetvision.status.schema import Span
from streetvision.status.snapshot import Facts, status_of

PAGE = Path(__file__).parents[1] / "docs" / "monitoring.md"
NEW = """
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import proves_after
from streetvision.monitor.finding import Severity
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule import Fault, Need, Rule
from streetvision.monitor.thresholds import Thresholds

WATTS = 700.0


def gpu_thirsty(seen: Observation, limits: Thresholds) -> list[Finding]:
    watts = seen.machine.gpu_watts
    if watts is None or watts < WATTS:
        return []
    title, evidence = "the GPU draws too much", (f"It draws {watts:.0f} W.",)
    return [Finding("gpu_thirsty", Severity.CRITICAL, title, evidence, "Set a limit: nvidia-smi -pl 600.")]


RULES = (
    Rule(
        code="gpu_thirsty",
        order=1,
        severity=Severity.CRITICAL,
        fault=Fault.FAULT,
        meaning="The GPU draws 700 W or more",
        remedy="`nvidia-smi -pl`",
        judge=gpu_thirsty,
        needs=(Need("no reading of the GPU's power", lambda seen, _: seen.machine.gpu_watts is not None),),
        check=CHECK,
        at_once=True,
        absence=proves_after(900.0),
    ),
)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules count as rules."""
    monkeypatch.setattr(rules, "__path__", [*rules.__path__, str(tmp_path)])
    yield tmp_path
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(f"{rules.__name__}.{path.stem}", None)
        rules.__dict__.pop(path.stem, None)


@pytest.fixture
def add(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "gpu_thirsty.py").write_text(NEW.replace("FAULT,", "OURS,").replace("CHECK", "'device'"))
    monkeypatch.setattr(rules, "RULES", rules.collected(rules.__path__))


def seen(watts: float | None) -> Observation:
    return Observation(1.8e9, "5Own", machine=MachineView(gpu_free=2**36, gpu_total=2**37, gpu_watts=watts))


def screen(passed: RulePass) -> str:
    console = Console(width=120, no_color=True)
    with console.capture() as capture:
        console.print(view(status_of(Facts("0.1.0", 72, "finney"), passed.seen, passed, (), Span()), 120))
    return capture.get()


@pytest.mark.usefixtures("add")
def test_one_file_is_found_by_every_surface() -> None:
    passed = rule_pass(seen(800.0))
    assert passed.findings[0].code == "gpu_thirsty"
    checks = {check.name: check for check in arranged([ok("device", "an H200")], passed.findings)}
    assert checks["device"].mark is Mark.FAILURE
    assert checks["device"].evidence == "the GPU draws too much. It draws 800 W."
    status = status_of(Facts("0.1.0", 72, "finney"), passed.seen, passed, (), Span())
    assert (status["miner"]["state"], status["findings"][0]["code"]) == ("degraded", "gpu_thirsty")
    for surface in (screen(passed), str(page_findings(status))):
        for text in ("he GPU draws too much", "It draws 800 W.", "Set a limit: nvidia-smi -pl 600."):
            assert text in surface
    assert "| `gpu_thirsty` | critical | The GPU draws 700 W or more | `nvidia-smi -pl` |\n" in rules_table()
    _, items = advance(AlertState(), passed.findings, 1.8e9, AlertPolicy(), unproven=unproven(passed.seen))
    assert [item.finding.code for item in items] == ["gpu_thirsty"]
    assert "gpu_thirsty" in unproven(seen(None))


@pytest.mark.usefixtures("add")
def test_a_pass_says_what_it_did_not_judge_and_why() -> None:
    passed = rule_pass(seen(None))
    assert passed.unjudged[0].code == "gpu_thirsty"
    report = Report((), unjudged=passed.unjudged)
    words = "no reading of the GPU's power: gpu_thirsty"
    status = status_of(Facts("0.1.0", 72, "finney"), passed.seen, passed, (), Span())
    assert status["unjudged"][0] == {"code": "gpu_thirsty", "why": "no reading of the GPU's power"}
    for surface in ("\n".join(line for line, _ in lines_of(report)), screen(passed)):
        assert words in surface
    assert "no reading of the GPU&#x27;s power: gpu_thirsty" in str(page_findings(status)).replace("&#39;", "&#x27;")
    assert "gpu_thirsty" not in {rule.code for rule in rule_pass(seen(100.0)).unjudged}


@pytest.mark.parametrize(
    ("fault", "mark", "state"), [("SUBNET", Mark.WARNING, "serving"), ("NODE", Mark.FAILURE, "degraded")]
)
def test_only_a_subnets_fault_is_nothing_to_mend(
    fault: str, mark: Mark, state: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "gpu_thirsty.py").write_text(NEW.replace("FAULT,", f"{fault},").replace("CHECK", "None"))
    monkeypatch.setattr(rules, "RULES", rules.collected(rules.__path__))
    passed = rule_pass(seen(800.0))
    assert {check.name: check for check in arranged([], passed.findings)}["gpu_thirsty"].mark is mark
    assert status_of(Facts("0.1.0", 72, "finney"), passed.seen, passed, (), Span())["miner"]["state"] == state


def test_a_finding_of_a_newer_miner_counts_as_its_own() -> None:
    assert is_grave("of_another_version", Severity.CRITICAL)
    assert not is_grave("of_another_version", Severity.WARNING)
    assert not is_grave("subnet_halted", Severity.CRITICAL)


def test_codes_and_orders_are_unique() -> None:
    assert len({rule.code for rule in rules.RULES}) == len({rule.order for rule in rules.RULES}) == len(rules.RULES)


def test_the_documents_table_is_current() -> None:
    text = PAGE.read_text()
    assert with_rules_table(text) == text
    with pytest.raises(ValueError, match="0 tables"):
        with_rules_table("# No table\n")
