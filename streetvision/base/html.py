"""HTML that is built, not pasted: whatever is not markup made here is escaped."""

from __future__ import annotations

from html import escape

_EMPTY = frozenset({"meta", "link", "img", "input", "br", "path", "rect", "line", "circle"})


class Html(str):
    """Markup made by this module's functions: the only text that is not escaped."""

    __slots__ = ()


Child = str | int | None
"""Text, or Html; None is left out."""


def el(tag: str, *children: Child, **attributes: str | float | bool | None) -> Html:
    """One element. Attributes: `class_` is `class`, `_` is `-`; True has no value, None and False are left out."""
    words = [tag]
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        plain = name.rstrip("_").replace("_", "-")
        words.append(plain if value is True else f'{plain}="{escape(_text(value), quote=True)}"')
    opening = " ".join(words)
    if tag in _EMPTY and not children:
        return Html(f"<{opening}>" if tag in ("meta", "link", "img", "input", "br") else f"<{opening}/>")
    return Html(f"<{opening}>{join(*children)}</{tag}>")


def join(*children: Child) -> Html:
    """Siblings."""
    return Html("".join(c if isinstance(c, Html) else escape(str(c)) for c in children if c is not None))


def prose(text: str) -> Html:
    """A sentence in which `backticks` mark commands."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return join(text)
    return join(*(el("code", part) if place % 2 else part for place, part in enumerate(parts)))


def _text(value: str | float) -> str:
    """Numbers short: coordinates need no more than a tenth of a unit."""
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return str(value)
