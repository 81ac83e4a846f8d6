"""What `streetvision synthesise` prints for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streetvision.base.spending import money

Fields = Mapping[str, Any]
_WIDEST = 12


def made_report(fields: Fields) -> str:
    """What was kept and left out, and what to do next."""
    lines = [f"{sum(fields['kept'].values()):,} variations kept{_money(fields['spent'])}"]
    lines += [f"  {kind:<{_WIDEST}} {count:>6,}" for kind, count in sorted(fields["kept"].items())]
    lines += [f"  left out: {count:,} {why}" for why, count in sorted(fields["left_out"].items())]
    if fields["ended"]:
        lines.append(f"ended early: {fields['ended']}; the same command goes on")
    if fields["kept"]:
        lines.append(f"do they pay? streetvision synthesise pays {fields['set']} --data ...")
        lines.append(f"learn from them: streetvision data add made:{fields['folder']} --name ...")
    return "\n".join(lines)


def stats_report(fields: Fields) -> str:
    """Counts by kind and outcome, reasons, money, the last ablation."""
    lines = [f"{fields['set']}: {fields['kept']:,} variations in {fields['folder']}{_money(fields['spent'])}"]
    for kind, counts in fields["kinds"].items():
        lines.append(f"  {kind:<{_WIDEST}} " + ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items())))
    lines += [f"  left out: {count:,} {why}" for why, count in fields["reasons"].items()]
    if fields["ablation"] is not None:
        lines += [f"judged {fields['ablation']['judged']}:", ablation_report(fields["ablation"])]
    return "\n".join(lines)


def ablation_report(found: Fields) -> str:
    """A line for each kind: what it adds, to which class, and whether that is beyond noise."""
    if found["why"]:
        return f"nothing can be told: {found['why']}"
    lines = [
        f"balanced accuracy of a probe on real pictures alone: {found['without']:.1%} ({found['seeds']} divisions)"
    ]
    lines.append(f"  {'kind':<{_WIDEST}} {'count':>6}  {'gain':>6}  {'at least':>8}  {'roadwork':>8}  {'none':>6}")
    rows = [*found["kinds"].items()] + ([("together", found["together"])] if found["together"] else [])
    for kind, gain in rows:
        lines.append(
            f"  {kind:<{_WIDEST}} {gain['count']:>6,}  {gain['balanced']:>+6.1%}  {gain['low']:>+8.1%}  "
            f"{gain['roadwork']:>+8.1%}  {gain['none']:>+6.1%}  {'pays' if gain['pays'] else 'not beyond noise'}"
        )
    lines.append(f"worth learning from: {', '.join(found['kept']) or 'none'}")
    return "\n".join(lines)


def _money(spent: float) -> str:
    return f", {money(spent)} spent" if spent else ""
