"""The check of the back end that makes variations: address, keys, region, model, budget; it asks for nothing."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime

from streetvision.base.spending import spent_of
from streetvision.doctor.bounds import parted
from streetvision.doctor.check import Check, ok, skipped, warning
from streetvision.errors import OperatorError
from streetvision.settings.settings import Settings

NAME = "synthetic"


def check_synthetic(settings: Settings, now: float) -> Check:
    """Whether the next retraining could make variations; the miner earns without, so nothing here is a failure."""
    wanted = settings.synthetic
    if not wanted.back_end:
        return skipped(NAME, "no variations are made before retraining")
    from streetvision.synthesis.back_ends.opening import offered, open_back_end
    from streetvision.synthesis.making import over_budget
    from streetvision.synthesis.store import spent_in

    try:
        with closing(open_back_end(wanted)) as back_end:
            kinds, said = offered(wanted, back_end), back_end.check()
        spent = spent_in(settings.state_dir, datetime.fromtimestamp(now, UTC).isoformat()[:7])
    except OperatorError as error:
        return _warned(str(error))
    if not kinds:
        return _warned(f"{back_end.name} makes none of {wanted.kinds}: correct --synthetic.kinds")
    if wanted.price and (why := over_budget(spent, wanted.price, wanted.budget)):
        return _warned(why)
    money = f"; {spent_of(spent, wanted.budget)} spent this month" if wanted.price else ""
    return ok(NAME, f"{said}: {', '.join(kind.name for kind in kinds)}{money}")


def _warned(sentence: str) -> Check:
    evidence, remedy = parted(sentence)
    return warning(NAME, evidence, remedy[:1].upper() + remedy[1:] or "See docs/synthetic.md.")
