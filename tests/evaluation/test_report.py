"""The report in its three forms: what it says, that it needs nothing else, that nothing from outside is markup."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from streetvision.evaluation.figures import NAMES, Estimate, Sample, estimates
from streetvision.evaluation.judging import Judged, Report, common, judge_answers
from streetvision.evaluation.mistakes import mistakes
from streetvision.evaluation.report_fields import report_fields
from streetvision.evaluation.report_page import POLICY, STYLES, render_report
from streetvision.evaluation.report_text import report_text
from streetvision.evaluation.reward import Assumptions
from streetvision.evaluation.robustness import Hardship
from streetvision.evaluation.wording import pictures_words

Make = Callable[..., Judged]
HOSTILE = "<script>alert('1')</script>\"&"
NOW = 1_790_000_000.0


def report(*judged: Judged, model: str = "1.0.0", rival: str | None = None) -> Report:
    return Report(model, rival, list(judged), Assumptions())


class Reader(HTMLParser):
    """Collects tags, what they load, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def with_hardships(one: Judged) -> Judged:
    figures = estimates(one.sample)
    falls = {
        ("as it is", ""): Estimate(0.0, 0.0, 0.0),
        ("blur", "1"): Estimate(0.1),
        ("blur", "2"): Estimate(0.2, 0.1, 0.3),
    }
    found = [Hardship(kind, step, 24, figures, fall) for (kind, step), fall in falls.items()]
    return replace(one, hardships=found)


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing(judged: Make) -> None:
    page = Reader(render_report(report(with_hardships(judged(rival=0.6)), rival="0.9.0"), NOW))
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    assert all(load.startswith("data:image/jpeg;base64,") or load == "#main" for load in page.loads)
    assert "url(" not in STYLES
    assert "@import" not in STYLES
    assert POLICY.startswith("default-src 'none'")
    assert "script-src" not in POLICY


def test_the_page_says_the_verdict_first_and_then_the_figures(judged: Make) -> None:
    one = with_hardships(judged(rival=0.6))
    text = Reader(render_report(report(one, rival="0.9.0"), NOW)).text
    titles = (
        "Undecided between 1.0.0 and 0.9.0",
        "expected reward",
        "All figures",
        "Reliability",
        "ROC curve",
        "Expected reward",
        "Parts of the dataset",
        "When pictures arrive in a worse state",
        "The surest mistakes",
    )
    places = [text.index(title) for title in titles]
    assert places == sorted(places)
    assert f"{one.figures['mcc'].value:.3f}" in text
    assert "2026-09-21" in text


def test_names_from_outside_are_text(judged: Make) -> None:
    one = judged(name=HOSTILE)
    first = replace(one.answers.examples[0], tags={"weather": HOSTILE, HOSTILE: "a"})
    others = tuple(
        replace(e, tags={"weather": HOSTILE if p % 2 else "b", HOSTILE: f"{p % 2}"})
        for p, e in enumerate(one.answers.examples[1:])
    )
    answers = replace(one.answers, examples=(first, *others), unanswered=((first, HOSTILE),))
    again = judge_answers(one.shown, answers, [], None, Assumptions(challenges=100))
    written = render_report(report(again, model=HOSTILE), NOW)
    assert "<script" not in written
    page = Reader(written)
    assert page.text.count(HOSTILE) >= 4


def test_the_mistakes_are_the_surest_wrong_answers_and_our_own_jpegs(judged: Make) -> None:
    one = judged(right=0.5)
    found = mistakes(one.answers, most=3)
    wrong = one.sample.said != one.sample.labels
    for label in (True, False):
        sureness = np.sort(np.abs(one.sample.probabilities - 0.5)[wrong & (one.sample.labels == label)])[::-1]
        shown = [abs(m.probability - 0.5) for m in found if m.label is label]
        assert shown == pytest.approx(sureness[:3].tolist())
    assert all(m.jpeg.startswith("/9j/") for m in found)
    for example in one.answers.examples:
        example.path.write_bytes(b"changed meanwhile")
    assert all(m.jpeg == "" for m in mistakes(one.answers))


def test_the_same_report_is_plain_data(judged: Make) -> None:
    one = with_hardships(judged(rival=0.6))
    fields = json.loads(json.dumps(report_fields(report(one, rival="0.9.0")), allow_nan=False))
    (told,) = fields["datasets"]
    assert (fields["model"], fields["against"], told["pictures"], told["positives"]) == ("1.0.0", "0.9.0", 24, 12)
    assert set(told["figures"]) == set(NAMES)
    assert told["figures"]["accuracy"]["value"] == pytest.approx(
        (one.sample.said == one.sample.labels).mean(), abs=1e-6
    )
    assert {part["value"] for part in told["parts"]} == {"sun", "rain", "fog"}
    assert [h["step"] for h in told["robustness"]] == ["", "1", "2"]
    assert told["comparison"]["verdict"] in ("better", "worse", "undecided")
    assert sum(b["pictures"] for b in told["reliability"]) == 24


def test_the_terminal_says_what_the_page_says(judged: Make) -> None:
    one = with_hardships(judged(rival=0.6))
    text = report_text(report(one, rival="0.9.0"))
    assert text.startswith("1.0.0 on drives: 24 pictures, 12 with roadwork, in 12 groups\n  Undecided between")
    assert re.search(rf"MCC +{one.figures['mcc'].value:.3f}  ", text)
    assert re.search(r"weather=rain +8 ", text)
    assert re.search(r"blur +1: 0\.\d{3}  2: 0\.\d{3}\*", text)
    assert max(map(len, text.splitlines())) < 160


def test_one_group_is_no_plural(judged: Make) -> None:
    one = judged(24)
    sample = replace(one.sample, groups=np.full(24, "drive"))
    alone = replace(one, answers=replace(one.answers, sample=sample))
    assert pictures_words(alone) == "24 pictures, 12 with roadwork, in 1 group"


def test_one_class_is_said_and_not_shown_as_zero(judged: Make) -> None:
    one = judged(48)
    positives = one.sample.labels
    answers = replace(
        one.answers,
        examples=tuple(e for e in one.answers.examples if e.label),
        sample=one.sample.part(positives),
    )
    only = judge_answers(one.shown, answers, [], None, Assumptions(challenges=100))
    words = "no picture is labelled `no roadwork`: MCC, AUC, false alarms cannot be told"
    assert words in report_text(report(only))
    page = Reader(render_report(report(only), NOW)).text
    assert words in page
    assert "it takes pictures of both classes" in page
    assert report_fields(report(only))["datasets"][0]["reward"]["value"] is None


def test_models_are_compared_on_what_both_answered(judged: Make) -> None:
    one = judged(10, rival=0.6)
    fewer = replace(one.answers, examples=one.answers.examples[3:], sample=one.sample.part(np.arange(10) >= 3))
    turned = Sample(fewer.sample.logits[::-1], fewer.sample.labels[::-1], fewer.sample.groups[::-1])
    swapped = replace(fewer, examples=fewer.examples[::-1], sample=turned)
    first, second = common(one.answers, swapped)
    assert first.logits.tolist() == second.logits.tolist() == one.sample.logits[3:].tolist()
