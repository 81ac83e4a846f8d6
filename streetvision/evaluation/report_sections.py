"""The parts of the report's page, each from a part of what was found. Pure, but for reading the mistakes' pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from streetvision.base.html import Html, el, join, prose
from streetvision.base.wording import share
from streetvision.evaluation.comparison import Comparison
from streetvision.evaluation.figures import NAMES, Estimate
from streetvision.evaluation.judging import Judged, rates
from streetvision.evaluation.mistakes import Mistake, mistakes
from streetvision.evaluation.predictions import Answers
from streetvision.evaluation.report_charts import answers_chart, hardship_chart, reliability_chart, roc_chart
from streetvision.evaluation.reward import Assumptions, mean_rewards
from streetvision.evaluation.robustness import Hardship
from streetvision.evaluation.slices import Slice
from streetvision.evaluation.wording import (
    LABELS,
    MEANINGS,
    NOTHING,
    assumed_words,
    caveats,
    disagreement_words,
    interval,
    number,
    signed,
)

TILES = ("accuracy", "mcc", "auc")
PART_FIGURES = ("accuracy", "mcc", "auc", "recall", "false_alarms")
MEANING = "Meaning"
SHARES = (0.2, 0.35, 0.5, 0.65, 0.8)
UNANSWERED = (0.0, 0.01, 0.05, 0.1, 0.2)
GRID_DRAWS = 100


def tiles(one: Judged) -> Html:
    """The figures that are looked for first."""
    found = [(LABELS[name], one.figures[name]) for name in TILES]
    return el("dl", *(_tile(name, known) for name, known in (*found, ("expected reward", one.reward))), class_="tiles")


def _tile(name: str, found: Estimate) -> Html:
    words = interval(found)
    small = el("dd", words, class_="small") if words else None
    return el("div", el("dt", name), el("dd", number(found.value), class_="big"), small, class_="card")


def figures(one: Judged) -> Html:
    """Every figure with its interval and its meaning, and what keeps them from meaning what they seem to."""
    rows = [
        _row(LABELS[name], number(known.value), interval(known) or NOTHING, el("td", MEANINGS[name], class_="meaning"))
        for name, known in {**{name: one.figures[name] for name in NAMES}, "reward": one.reward}.items()
    ]
    notes = [el("li", words) for words in caveats(one)]
    notes += [el("li", f"{example.path.name} was not answered: {why}") for example, why in one.answers.unanswered[:20]]
    told = el("ul", *notes, class_="notes") if notes else None
    caption = "Intervals hold the figure in 95 of 100 draws of as many groups of pictures."
    return join(_table(("Figure", "Value", "95 % interval", MEANING), rows, caption, "All figures"), told)


def charts(one: Judged) -> Html:
    """Reliability, ROC and the spread of answers."""
    recall, false_alarms = rates(one.sample)
    roc = roc_chart(one.sample, (false_alarms, recall))
    return el("div", reliability_chart(one.sample), roc, answers_chart(one.sample), class_="squares")


def reward(one: Judged, assumed: Assumptions) -> Html | None:
    """What the subnet would pay, for several shares of roadwork and of silence."""
    recall, false_alarms = rates(one.sample)
    if one.reward.value is None:
        return el("p", "It cannot be told without pictures of both classes.", class_="quiet")
    rows = []
    for silent in UNANSWERED:
        cells = [
            _mean(recall, false_alarms, replace(assumed, positive_share=s, silent=silent, late=0.0)) for s in SHARES
        ]
        rows.append(_row(f"{share(silent)} unanswered", *cells))
    head = ("Challenges", *(f"{share(part)} roadwork" for part in SHARES))
    caption = (
        "The validators' windows simulated over many draws of challenges; 1 is the most. The figure above assumes "
        f"that {assumed_words(assumed)}."
    )
    return _table(head, rows, caption, "Expected reward")


def _mean(recall: float, false_alarms: float, assumed: Assumptions) -> str:
    drawn = mean_rewards(np.full(GRID_DRAWS, recall), np.full(GRID_DRAWS, false_alarms), assumed)
    return f"{drawn.mean():.2f}"


def parts(found: Sequence[Slice]) -> Html | None:
    """A row for each part."""
    if not found:
        return None
    rows = [
        _row(
            f"{part.tag}: {part.value or NOTHING}",
            f"{part.count:,}",
            f"{part.positives:,}",
            *(el("td", number(part.figures[name].value), title=interval(part.figures[name])) for name in PART_FIGURES),
        )
        for part in found
    ]
    head = ("Part", "Pictures", "With roadwork", *(LABELS[name] for name in PART_FIGURES))
    return _table(head, rows, "A figure's interval shows under the pointer.", "Parts of the dataset")


def hardships(found: Sequence[Hardship]) -> Html | None:
    """A small chart for each kind of distortion."""
    plain = next((one for one in found if one.plain), None)
    if plain is None or plain.figures["accuracy"].value is None:
        return None
    kinds: dict[str, list[Hardship]] = {}
    for one in found:
        if one is not plain:
            kinds.setdefault(one.kind, []).append(one)
    value = plain.figures["accuracy"].value
    words = (
        f"Accuracy of {plain.count:,} pictures, {value:.3f} as they are (dashed). Red: worse, and not by luck (the "
        "fall's interval leaves zero out). `level` is the validators' whole chain until April 2026, whose crops may "
        "cut the works out."
    )
    made = (hardship_chart(kind, steps, value) for kind, steps in kinds.items())
    return join(el("p", prose(words), class_="about quiet"), el("div", *made, class_="multiples"))


def faults(told: Answers) -> Html:
    """The surest wrong answers as pictures."""
    found = mistakes(told)
    if not found:
        return el("p", "There are none.", class_="quiet")
    kinds = (("Roadwork that was missed", True), ("Called roadwork without any", False))
    chosen = [(title, [one for one in found if one.label is label]) for title, label in kinds]
    return join(*(_gallery(title, some) for title, some in chosen if some))


def _gallery(title: str, found: Sequence[Mistake]) -> Html:
    return join(el("p", el("b", title), class_="about"), el("ul", *map(_fault, found), class_="pictures faults"))


def _fault(one: Mistake) -> Html:
    words = f"P {one.probability:.3f} · {one.name}"
    picture = el("img", src=f"data:image/jpeg;base64,{one.jpeg}", alt=words) if one.jpeg else None
    return el("li", picture, el("span", words))


def comparison(found: Comparison, model: str, rival: str) -> Html:
    """The differences behind a verdict."""
    rows = [
        _row(LABELS[name], signed(known.value), interval(known, sign=True) or NOTHING)
        for name, known in found.differences.items()
    ]
    table = _table(("Difference", "Value", "95 % interval"), rows, None, "Differences")
    return join(el("p", f"{disagreement_words(found, model, rival)}."), table)


_head = partial(el, "th", scope="col")


def _table(names: Sequence[str], rows: Sequence[Html], caption: str | None, label: str) -> Html:
    """A table wider than a narrow window scrolls by itself, with the keyboard too."""
    heads = [_head(name, class_="left" if place == 0 or name == MEANING else None) for place, name in enumerate(names)]
    told = el("caption", caption) if caption else None
    table = el("table", told, el("thead", el("tr", *heads)), el("tbody", *rows))
    return el("div", table, class_="card scroll", tabindex=0, role="region", aria_label=label)


def _row(name: str, *cells: Html | str) -> Html:
    made = [cell if isinstance(cell, Html) else el("td", cell) for cell in cells]
    return el("tr", el("th", name, scope="row", class_="left"), *made)
