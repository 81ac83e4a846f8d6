"""What `streetvision mine` prints for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Fields = Mapping[str, Any]
_OTHER_VERSION = "embedded by another model version"


def sync_report(fields: Fields) -> str:
    """One line of what a sync did."""
    parts = [f"{fields['added']:,} new", f"{fields['updated']:,} updated"]
    parts += [f"{fields[name]:,} {text}" for name, text in _SYNC_EXTRAS.items() if fields[name]]
    line = f"{fields['rows']:,} rows read: {', '.join(parts)}; {fields['samples']:,} pictures in the dataset"
    return line + (" (the log was started anew)" if fields["started_anew"] else "")


_SYNC_EXTRAS = {"without_image": "rows without an image", "evicted": "images found evicted"}


def hard_report(fields: Fields) -> str:
    """A line per pick, then what was left out and what to do next."""
    lines = [f"{one['sha256'][:12]}  P {one['probability']:.3f}  {one['why']}" for one in fields["picks"]]
    lines.append(
        f"{len(fields['picks']):,} picked of {fields['considered']:,} candidates (embeddings of {fields['model']})"
    )
    lines += [f"  left out: {count:,} {reason}" for reason, count in fields["left_out"].items()]
    if _OTHER_VERSION in fields["left_out"]:
        lines.append("  `streetvision mine rescore` makes pictures of other versions comparable")
    if fields["split_leaks"]:
        lines.append(f"  warning: {fields['split_leaks']:,} exported validation pictures resemble training pictures")
    if fields["picks"]:
        lines.append(f"label them: streetvision mine app --view {fields['view']}")
    return "\n".join(lines)


def quality_report(fields: Fields) -> str:
    """Counts by kind, medians, and the views."""
    lines = [
        f"{fields['images']:,} pictures, {fields['measured']:,} measured now, {fields['evicted']:,} evicted; "
        f"the newest {fields['compared']:,} compared with each other"
    ]
    views = set(fields["views"])
    for kind, count in fields["found"].items():
        view = f"quality-{kind}"
        lines.append(f"  {kind:<11} {count:>7,}" + (f"   view {view}" if view in views else ""))
    lines.append(f"  in {fields['duplicate_groups']:,} groups of duplicates; labels: {_counts(fields['labels'])}")
    lines.append(f"  medians: {', '.join(f'{name} {value:g}' for name, value in fields['medians'].items()) or 'none'}")
    return "\n".join(lines)


def export_report(fields: Fields) -> str:
    """What the version holds."""
    state = "written" if fields["changed"] else "unchanged, nothing written"
    lines = [f"version {fields['version']} {state}: {fields['folder']}"]
    lines += [f"  {side}: {_counts(labels)}" for side, labels in fields["counts"].items()]
    lines += [f"  left out: {count:,} {reason}" for reason, count in fields["left_out"].items()]
    if fields["leaks"]:
        lines.append(f"  warning: {fields['leaks']:,} pictures leak between the sides")
    return "\n".join(lines)


def rescore_report(fields: Fields) -> str:
    """What a version answered."""
    line = f"{fields['answered']:,} pictures answered by {fields['version']}"
    return "; ".join([line, *(f"{count:,} {reason}" for reason, count in fields["failed"].items())])


def _counts(labels: Mapping[str, int], names: Sequence[str] = ("roadwork", "none", "unsure")) -> str:
    return ", ".join(f"{labels[name]:,} {name}" for name in names if labels.get(name)) or "none"
