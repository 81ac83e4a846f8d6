"""The README of a published model, made from the version's own card: what it is, its figures, its limits, its use."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from streetvision.subnet import SUBNET

TAGS = ("bittensor", "sn72", "streetvision", "roadwork")
NO_FIGURES = "The version's card gives no figures: measure it on your own labelled photos before you rely on it."
NO_LIMITS = (
    "The version's card names none. Expect errors on small, distant or covered roadwork, at night, in rain, and on "
    "streets unlike those it was trained on."
)
USE = (
    "It answers one question about one photo of a street: is roadwork in view? The answer is a probability; above "
    f"{SUBNET.threshold:g} means yes. It was made to answer the challenges of {SUBNET.name} (Bittensor subnet "
    f"{SUBNET.netuid}). It is not meant to steer vehicles, to warn people of danger, or to identify anybody."
)
_SHOWN_ELSEWHERE = ("what", "description", "limits", "intended_use", "data", "made_by", "license", "figures", "metrics")
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|!~$&])")


def readme(
    card: Mapping[str, Any],
    *,
    repo: str,
    about: Mapping[str, Any],
    metrics: Mapping[str, Any],
    facts: Iterable[tuple[str, str]],
    files: Iterable[tuple[str, int, str]],
    license: str | None,
) -> str:
    """Markdown with the hub's metadata on top.

    `card` is the subnet's card, `about` the version's own for people, `facts` are what the model is made of as
    (name, value), `files` are (path, bytes, sha256).
    """
    sections = [
        _metadata(license),
        f"# {_plain(card['model_name'])} {card['version']}",
        _plain(card["description"]),
        f"## Model\n\n{_table(('', ''), ((_plain(name), _plain(value)) for name, value in facts))}",
        f"## Intended use\n\n{_said(about, 'intended_use', USE)}",
        f"## Metrics\n\n{_figures(metrics or _mapping(about, 'figures') or _mapping(about, 'metrics'))}",
        f"## Limits\n\n{_said(about, 'limits', NO_LIMITS)}",
        *_optional(about),
        f"## Using it\n\n{_usage(repo, card['version'])}",
        f"## Files\n\n{_table(('file', 'bytes', 'SHA-256'), ((f'`{p}`', str(n), f'`{h}`') for p, n, h in files))}",
        f"## Submission\n\nSubmitted by hotkey `{card['submitted_by']}` as version {card['version']}; "
        "`model_card.json` has the same for machines.",
    ]
    return "\n\n".join(sections) + "\n"


def _metadata(license: str | None) -> str:
    lines = ["---", "library_name: streetvision", "pipeline_tag: image-classification"]
    lines += [f"license: {json.dumps(license)}"] if license else []
    return "\n".join([*lines, "tags:", *(f"  - {tag}" for tag in TAGS), "---"])


def _usage(repo: str, version: str) -> str:
    return (
        "```console\n"
        f"$ streetvision models pull {repo}@v{version}\n"
        "$ streetvision predict photo.jpg --model "
        f"{version}\n"
        "```"
    )


def _said(about: Mapping[str, Any], key: str, otherwise: str) -> str:
    value = about.get(key)
    return _plain(value) if isinstance(value, str) and value.strip() else otherwise


def _mapping(about: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = about.get(key)
    return value if isinstance(value, Mapping) else {}


def _optional(about: Mapping[str, Any]) -> list[str]:
    """What else the card tells: its data, how it was made, and whatever its maker noted."""
    titles = {"data": "Data", "made_by": "How it was made"}
    sections = [f"## {title}\n\n{_plain(about[key])}" for key, title in titles.items() if about.get(key)]
    rest = [(_plain(key), _plain(value)) for key, value in about.items() if key not in _SHOWN_ELSEWHERE]
    return sections + ([f"## Notes\n\n{_table(('', ''), rest)}"] if rest else [])


def _figures(metrics: Mapping[str, Any]) -> str:
    """Single figures as one table, and each group of groups as a table of its own."""
    if not metrics:
        return NO_FIGURES
    single = {name: value for name, value in metrics.items() if not isinstance(value, Mapping)}
    parts = [_table(("figure", "value"), ((_plain(n), _figure(v)) for n, v in single.items()))] if single else []
    parts += [_group(name, value) for name, value in metrics.items() if isinstance(value, Mapping) and value]
    return "\n\n".join(parts)


def _group(name: str, group: Mapping[str, Any]) -> str:
    if not all(isinstance(row, Mapping) for row in group.values()):
        rows: Iterable[tuple[str, ...]] = ((_plain(key), _figure(value)) for key, value in group.items())
        return _table((_plain(name), "value"), rows)
    columns = list(dict.fromkeys(key for row in group.values() for key in row))
    rows = ((_plain(key), *(_figure(row.get(column)) for column in columns)) for key, row in group.items())
    return _table((_plain(name), *(_plain(column) for column in columns)), rows)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _figure(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else _plain(value)


def _plain(value: object) -> str:
    """Text that cannot become markup: a card may quote a stranger, and hubs show READMEs as pages."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    text = " ".join(text.split())
    return _MARKUP.sub(r"\\\1", "".join(letter for letter in text if letter.isprintable()))
