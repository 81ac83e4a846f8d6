"""The check of the oracle: whether it could be asked, and what bounds its cost; it asks nothing and spends nothing."""

from __future__ import annotations

import difflib
from datetime import UTC, datetime

from streetvision.base.spending import spent_of
from streetvision.doctor.bounds import parted
from streetvision.doctor.check import Check, ok, skipped, warning
from streetvision.errors import OperatorError
from streetvision.labelling.budget import exceeded, price_warning
from streetvision.labelling.endpoint import Endpoint
from streetvision.labelling.schema import DATABASE, FOLDER
from streetvision.labelling.store import Cost, LabellingStore, Spent
from streetvision.settings.settings import Settings

ANSWER_S = 10.0


async def check_oracle(settings: Settings, now: float) -> Check:
    """The endpoint, the key and the model's name by GET /v1/models; bounds and the age of prices by the settings."""
    if not settings.oracle.is_configured:
        return skipped("oracle", "no larger model is asked for labels")
    try:
        return await _check(settings, datetime.fromtimestamp(now, UTC))
    except OperatorError as error:
        return _warned(str(error))


async def _check(settings: Settings, now: datetime) -> Check:
    wanted = settings.oracle
    async with Endpoint(wanted.url, wanted.key, ANSWER_S) as endpoint:
        models = await endpoint.models()
    if wanted.model not in models:
        near = difflib.get_close_matches(wanted.model, models, n=1)
        remedy = f"Did you mean --oracle.model {near[0]}?" if near else "Name one that it lists: --oracle.model."
        return warning("oracle", f"{wanted.url} has no model {wanted.model!r:.100}", remedy)
    spent = _spent(settings, now)
    if why := exceeded(wanted, spent, Cost(1, 0.0)):
        return _warned(why)
    if wanted.is_priced and not wanted.is_bounded:
        return warning("oracle", "nothing bounds its cost", "Set --oracle.month_money, or another of its bounds.")
    if why := price_warning(wanted, now.date()):
        return _warned(why)
    month = [spent_of(spent.month.tokens, wanted.month_tokens, "tokens")]
    month += [spent_of(spent.month.money, wanted.month_money)] if wanted.is_priced else []
    return ok("oracle", f"{wanted.url} has {wanted.model}; {' and '.join(month)} spent this month")


def _warned(sentence: str) -> Check:
    """The miner earns without an oracle: nothing about one is a failure."""
    evidence, remedy = parted(sentence)
    return warning("oracle", evidence, remedy[:1].upper() + remedy[1:] or "See docs/labelling.md.")


def _spent(settings: Settings, now: datetime) -> Spent:
    if not (settings.state_dir / FOLDER / DATABASE).is_file():
        return Spent(Cost(), Cost())
    with LabellingStore(settings.state_dir) as store:
        return store.spent(now.isoformat(timespec="seconds"))
