"""What our pages share: one document that loads nothing from elsewhere, its themes, the frames of its charts."""

from __future__ import annotations

import base64
import hashlib

from streetvision.base.html import Child, Html, el


def source_hash(text: str) -> str:
    """How a Content-Security-Policy names an inline style sheet or script."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def document(title: str, *body: Child, style: str, policy: str, head: Child = None, skips: bool = True) -> str:
    """The text of the page; `head` is added to its head. A keyboard can skip to the element with the id `main`.

    `skips=False` is for a page so short that there is nothing to skip.
    """
    heads = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="referrer", content="no-referrer"),
        head,
        el("title", title),
        el("style", Html(style)),
    )
    skip = el("a", "Skip to the figures", href="#main", class_="skip") if skips else None
    return "<!doctype html>\n" + el("html", heads, el("body", skip, *body), lang="en") + "\n"


def theme_choices(*more: Child) -> Html:
    """Automatic, light or dark, without a script; and what else is to be chosen beside it."""
    choices = [
        el("label", el("input", type="radio", name="theme", id=f"theme-{name}", checked=name == "auto"), name)
        for name in ("auto", "light", "dark")
    ]
    return el("fieldset", el("legend", "Colours"), *choices, *more)


def chart(title: str, summary: str, size: tuple[float, float], *drawn: Child) -> Html:
    """What was drawn in `size` (width, height) units, under its title and a summary, which is read out too."""
    box, words = f"0 0 {size[0]:g} {size[1]:g}", f"{title}: {summary}"
    picture = el("svg", *drawn, viewBox=box, role="img", aria_label=words)
    return el("figure", el("figcaption", el("b", title), " ", el("span", summary)), picture, class_="card chart")


def empty_chart(title: str, words: str) -> Html:
    """In place of a chart that has no data."""
    return el("figure", el("figcaption", el("b", title)), el("p", words, class_="none"), class_="card chart")
