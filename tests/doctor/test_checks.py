"""The doctor's own rules: every check ends in time, marks follow the findings, secrets stay hidden."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from streetvision.doctor.bounds import bounded, from_error, in_thread, parted
from streetvision.doctor.check import SECTIONS, Check, Mark, Report, failure, of_finding, ok, skipped, warning
from streetvision.doctor.examination import arranged, uncovered
from streetvision.doctor.redaction import scrubber
from streetvision.doctor.report import lines_of
from streetvision.errors import OperatorError
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.rule_pass import finding_words
from streetvision.monitor.rules import RULES
from streetvision.monitor.unjudged import Unjudged
from streetvision.settings.alerts import AlertSettings
from streetvision.settings.network import SubtensorSettings
from streetvision.settings.secret import Secret
from streetvision.settings.settings import Settings

HOOK = "https://discord.com/api/webhooks/1234567890/very-secret-part"


def finding(code: str, severity: Severity = Severity.CRITICAL) -> Finding:
    return Finding(code, severity, f"{code} holds", ("12 of 13.",), f"repair {code}")


async def test_a_check_that_hangs_is_a_failure_and_holds_nothing_up() -> None:
    hangs = threading.Event()

    def wait() -> Check:
        hangs.wait()
        return ok("disk", "never")

    check = await bounded("disk", 0.05, in_thread(wait))
    hangs.set()
    assert check.mark is Mark.FAILURE
    assert "0.05 s" in check.evidence


async def test_a_check_that_breaks_hides_no_other() -> None:
    def breaks() -> Check:
        raise ZeroDivisionError("oops")

    check = await bounded("disk", 5.0, in_thread(breaks))
    assert check.mark is Mark.FAILURE
    assert "ZeroDivisionError: oops" in check.evidence


async def test_an_operators_error_becomes_evidence_and_remedy() -> None:
    def fails() -> Check:
        raise OperatorError("Hotkey file x does not exist: create it with `btcli`.")

    check = await bounded("hotkey", 5.0, in_thread(fails))
    assert (check.evidence, check.remedy) == ("Hotkey file x does not exist", "Create it with `btcli`.")


def test_colons_in_parentheses_part_nothing() -> None:
    assert parted("No (a: b; c: d): do e: f") == ("No (a: b; c: d)", "do e: f")
    assert parted("no colon at all") == ("no colon at all", "")
    assert from_error("x", OperatorError("no colon at all")).remedy


def test_in_thread_gives_none_too() -> None:
    assert asyncio.run(in_thread(lambda: None)) is None


@pytest.mark.parametrize(
    ("code", "severity", "mark"),
    [
        ("deregistered", Severity.CRITICAL, Mark.FAILURE),
        ("rank_fell", Severity.WARNING, Mark.WARNING),
        ("rank_fell", Severity.INFO, Mark.OK),
        ("subnet_halted", Severity.CRITICAL, Mark.WARNING),  # nothing on this machine is at fault
    ],
)
def test_marks_of_findings(code: str, severity: Severity, mark: Mark) -> None:
    check = of_finding("x", finding(code, severity))
    assert check.mark is mark
    assert check.evidence == f"{code} holds. 12 of 13."


def test_rules_have_the_last_word_where_they_are_graver() -> None:
    checks = [ok("disk", "200 GiB free"), failure("card", "wrong", "mend"), skipped("clock", "nobody knows")]
    low = (finding("disk_low"), finding("card_foreign", Severity.WARNING), finding("clock_skew", Severity.WARNING))
    found = {check.name: check for check in arranged(checks, low)}
    assert found["disk"].remedy == "repair disk_low"
    assert found["card"].evidence == "wrong"
    assert found["clock"].mark is Mark.WARNING


def test_every_name_appears_and_every_finding_once() -> None:
    all_rules = tuple(finding(rule.code) for rule in RULES)
    found = arranged([], all_rules)
    names = [check.name for check in found]
    assert names[: len(set().union(*SECTIONS.values()))] == [name for part in SECTIONS.values() for name in part]
    assert len(names) == len(set(names))
    for one in all_rules:
        assert [check.evidence for check in found].count(finding_words(one)) == 1


def test_a_finding_less_grave_than_its_check_stands_for_itself() -> None:
    found = arranged([failure("model", "damaged", "pull it")], (finding("model_old", Severity.WARNING),))
    assert [(check.name, check.mark) for check in found if check.mark is not Mark.SKIPPED] == [
        ("model", Mark.FAILURE),
        ("model_old", Mark.WARNING),
    ]


def test_without_a_miner_the_doctors_own_checks_stand_in_for_rules() -> None:
    unjudged = tuple(Unjudged(code, "nobody knows") for code in ("log_degraded", "gpu_pressure", "no_requests"))
    left = uncovered(unjudged, [ok("log", "whole"), skipped("device", "no GPU")])
    assert [rule.code for rule in left] == ["gpu_pressure", "no_requests"]


def test_checks_that_rules_name_exist() -> None:
    assert {rule.check for rule in RULES} - {None} <= {name for part in SECTIONS.values() for name in part}


def test_secrets_are_hidden_wherever_they_stand() -> None:
    settings = Settings(
        alerts=AlertSettings(discord_url=Secret(HOOK)),
        subtensor=SubtensorSettings(chain_endpoint="wss://me:pw1234@node.example:443/v1/key-abcdef?apikey=zz99"),
    )
    scrub = scrubber(settings, {"BT_WALLET_PASSWORD": "correct horse", "PATH": "/usr/bin", "HF_TOKEN": "hf_abcdef"})
    text = f"{HOOK} {settings.subtensor.chain_endpoint} correct horse hf_abcdef key-abcdef /usr/bin wss://[::1]:9944"
    shown = scrub(text)
    for secret in ("very-secret-part", "pw1234", "apikey", "zz99", "key-abcdef", "correct horse", "hf_abcdef"):
        assert secret not in shown
    assert "wss://node.example:443/..." in shown
    assert "/usr/bin wss://[::1]:9944" in shown
    report = Report((warning("x", text, text),), {"evidence": [text], "ruled_out": [{"why": text}]})
    assert "very-secret-part" not in str(report.without_secrets(scrub).as_dict())


def test_the_report_for_people() -> None:
    checks = (
        ok("disk", "200 GiB free"),
        failure("hotkey", "missing", "run btcli"),
        warning("one_class", "all alike", "swap"),
    )
    diagnosis = {"cause": "not_queried", "title": "nobody asks", "evidence": ["Silent for 3 h."], "remedy": "Wait.",
                 "ruled_out": [{"cause": "halted", "why": "all earn", "known": True}]}  # fmt: skip
    lines = [line for line, _ in lines_of(Report(checks, diagnosis), 80)]
    text = "\n".join(lines)
    assert "  ✗ failure hotkey      missing" in lines
    assert "→ run btcli" in text
    assert text.index("Findings") < text.index("one_class")
    assert text.index("halted? no: all earn") < text.index("▶ not queried: nobody asks.")
    assert lines[-1] == "1 failure, 1 warning, 1 ok, 0 skipped"
    assert max(map(len, lines)) <= 80


def test_commands_are_never_broken_in_two() -> None:
    command = "/" + "x" * 100
    lines = [line for line, _ in lines_of(Report((failure("hotkey", "missing", f"run {command} now"),)), 80)]
    assert any(command in line for line in lines)


def test_the_report_as_json() -> None:
    fields = Report((failure("x", "a", "b"),)).as_dict()
    assert fields["ok"] is False
    assert fields["checks"] == [{"name": "x", "mark": "failure", "evidence": "a", "remedy": "b"}]


def test_every_page_names_every_check() -> None:
    page = (Path(__file__).parents[2] / "docs" / "running.md").read_text()
    for name in (name for part in SECTIONS.values() for name in part):
        assert f"| `{name}` |" in page, name
