"""The report as plain data: what `--json` prints and scripts read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streetvision.evaluation.calibration import reliability
from streetvision.evaluation.comparison import Comparison
from streetvision.evaluation.figures import Estimate
from streetvision.evaluation.judging import Judged, Report
from streetvision.evaluation.wording import caveats

FORMAT = 1
DIGITS = 6


def report_fields(report: Report) -> dict[str, Any]:
    """The whole report; what is undefined is null."""
    return {
        "format": FORMAT,
        "model": report.model,
        "against": report.rival,
        "assumed": {
            "positive_share": report.assumed.positive_share,
            "silent": report.assumed.silent,
            "late": report.assumed.late,
            "challenges": report.assumed.challenges,
        },
        "datasets": [_judged(one) for one in report.judged],
    }


def _judged(one: Judged) -> dict[str, Any]:
    sample = one.sample
    return {
        "name": one.shown.name,
        "fingerprint": one.shown.fingerprint,
        "pictures": len(sample),
        "positives": int(sample.labels.sum()),
        "groups": sample.group_count,
        "left_out": one.shown.left_out,
        "unanswered": [{"file": str(example.path), "reason": why} for example, why in one.answers.unanswered],
        "notes": caveats(one),
        "figures": _figures(one.figures),
        "reward": estimate_fields(one.reward),
        "parts": [
            {"tag": p.tag, "value": p.value, "pictures": p.count, "positives": p.positives, **_figures(p.figures)}
            for p in one.parts
        ],
        "robustness": [
            {
                "kind": h.kind,
                "step": h.step,
                "pictures": h.count,
                "fall": estimate_fields(h.fall),
                **_figures(h.figures),
            }
            for h in one.hardships
        ],
        "reliability": [
            {
                "low": _round(b.low),
                "high": _round(b.high),
                "pictures": b.count,
                "said": _round(b.mean),
                "so": _round(b.share),
            }
            for b in reliability(sample.probabilities, sample.labels)
        ],
        "comparison": None if one.comparison is None else comparison_fields(one.comparison),
    }


def comparison_fields(found: Comparison) -> dict[str, Any]:
    """Of the model against its rival."""
    return {
        "verdict": found.verdict,
        "why": found.why,
        "pictures": found.count,
        "only_model_right": found.only_first,
        "only_against_right": found.only_second,
        "mcnemar_p": found.p_value,
        "differences": _figures(found.differences),
    }


def estimate_fields(one: Estimate) -> dict[str, float | None]:
    """A figure and the interval that holds it in 95 of 100 draws."""
    return {"value": _round(one.value), "low": _round(one.low), "high": _round(one.high)}


def _figures(found: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: estimate_fields(one) for name, one in found.items()}


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)
