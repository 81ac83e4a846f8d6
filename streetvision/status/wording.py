"""The snapshot's numbers as an operator reads them: shared by the terminal, the plain form and the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streetvision.base.spending import money
from streetvision.base.wording import duration, moment, share
from streetvision.monitor.retraining import run_words
from streetvision.monitor.thresholds import DAY, HOUR
from streetvision.monitor.unjudged import read_unjudged, unjudged_words
from streetvision.status.schema import StandingPart, Status

NOTHING = "–"
_SECONDS_PER_BLOCK = 12.0


def rank_words(standing: StandingPart | None) -> str:
    """`9 of 248`; `no UID` when not registered."""
    if standing is None:
        return "not read yet"
    if standing["uid"] is None:
        return "no UID"
    return f"{standing['rank']} of {standing['miners']}" if standing["rank"] is not None else NOTHING


def emission_words(standing: StandingPart | None) -> str:
    """`13.4 alpha a day (0.267 TAO)`."""
    if standing is None or standing["uid"] is None:
        return NOTHING
    tao = standing["tao_per_day"]
    in_tao = "" if tao is None else f" ({tao:.3g} TAO)"
    return f"{standing['emission_per_day']:.4g} alpha a day{in_tao}"


def place_words(standing: StandingPart | None) -> str:
    """The UID's place in the order of eviction, and whether it is immune."""
    if standing is None or standing["uid"] is None:
        return NOTHING
    if standing["position"] is None:
        return "cannot be evicted"
    place = f"{standing['position']} of {standing['queue']} to be evicted"
    if standing["immune_blocks"]:
        place += f", immune for {duration(standing['immune_blocks'] * _SECONDS_PER_BLOCK)}"
    return place


def chain_words(status: Status) -> str:
    """`block 6,000,123, read 2 s ago`."""
    chain = status["chain"]
    if chain["block"] is None:
        return "chain not read yet"
    age = "" if chain["age"] is None else f", read {duration(chain['age'])} ago"
    failures = f", {chain['failures']} failed looks" if chain["failures"] else ""
    return f"block {chain['block']:,}{age}{failures}"


def subnet_words(standing: StandingPart | None) -> str:
    """Burn share and who earns and votes."""
    if standing is None:
        return NOTHING
    return (
        f"{share(standing['burn_share'])} burned, {standing['paid_miners']} of {standing['miners']} miners earn, "
        f"{standing['active_validators']} of {standing['validators']} validators set weights"
    )


def traffic_words(status: Status) -> str:
    """`3.2 a minute; 189 of 190 answered in the last hour`."""
    traffic = status["traffic"]
    words = f"{traffic['per_minute']:.3g} a minute; {traffic['answered']:,} of {traffic['requests']:,} answered"
    cut = f", {traffic['incomplete']:,} cut short" if traffic["incomplete"] else ""
    return f"{words}{cut} in the last {span_words(traffic['window'])}{_reasons(traffic['failed'])}"


def span_words(seconds: float) -> str:
    """`hour`, `day`, `7 days`, `12 min`: what may follow `the last`."""
    days = seconds / DAY
    if seconds in (HOUR, DAY):
        return "hour" if seconds == HOUR else "day"
    return f"{days:g} days" if days > 1 and days == round(days) else duration(seconds)


def _reasons(failed: Mapping[str, int]) -> str:
    return f" ({', '.join(f'{count} {reason}' for reason, count in failed.items())})" if failed else ""


def refusal_words(status: Status, most: int = 3) -> str:
    """`13 headers_dropped, 2 unknown_path in the last hour; 40 since the start`; empty where nobody was refused."""
    refusals = status.get("refusals") or []
    total = sum(row["total"] for row in refusals)
    if not total:
        return ""
    recent = [row for row in refusals if row["recent"]]
    told = [f"{row['recent']:,} {row['reason']}" for row in recent[:most]]
    if len(recent) > most:
        told.append(f"{sum(row['recent'] for row in recent[most:]):,} others")
    return f"{', '.join(told) or 'none'} in the last hour; {total:,} since the start"


def not_judged_words(status: Status) -> tuple[str, ...]:
    """`no GPU reading: gpu_pressure`, one for each reason; a miner of before an update does not tell them."""
    return unjudged_words(read_unjudged(status.get("unjudged") or ()))


def headroom_words(status: Status) -> str:
    """`8.31 s to spare in 99 of 100, median 8.35 s`."""
    headroom = status["traffic"]["headroom"]
    if headroom is None:
        return NOTHING
    return f"{headroom['p1']:.2f} s or more to spare in 99 of 100 answers, median {headroom['p50']:.2f} s"


def model_words(status: Status) -> str:
    """`1.2.0 (street-b), for 3 days, by openvino in bf16`, or why nothing is known."""
    models = status["models"]
    if models is None:
        return NOTHING
    active = models["active"]
    words = f"{active['version']} ({active['name']}), for {duration(active['for_s'])}"
    serving = sorted({f"{one['runner']} in {one['precision']}" for one in active.get("served_by", ())})
    if serving:
        words += f", by {' and '.join(serving)}"
    if models["standby"]:
        words += f"; {models['standby']['version']} is kept loaded"
    return words


def backend_words(status: Status) -> str:
    """`ray answers: 1,204 of 1,210 requests, the embedded model the others`; empty without a backend."""
    backend = status.get("backend")
    if backend is None:
        return ""
    total = backend["answered"] + backend["embedded"]
    shared = f"{backend['answered']:,} of {total:,} requests, the embedded model the others"
    page = f"; see {backend['link']}" if backend["link"] else ""
    if backend["state"] == "closed":
        return f"{backend['name']} answers: {shared}{page}"
    why = f" ({backend['why']})" if backend["why"] else ""
    since = duration(max(0.0, status["taken_at"] - backend["since"]))
    return f"{backend['name']} has not answered for {since}{why}; it had {shared}{page}"


def candidate_words(status: Status) -> str:
    """The trial or operation that is going on; empty when there is none."""
    models = status["models"]
    if models is None:
        return ""
    candidate, operation = models["candidate"], models["operation"]
    if candidate:
        does = "answers" if candidate["role"] == "canary" else "looks at"
        part = f"{100 * candidate['share']:g} % of the images"
        return f"{candidate['role']} {candidate['version']} {does} {part}: {candidate['verdict']}"
    return f"{operation['name']}, for {duration(operation['for_s'])}" if operation else ""


def decision_words(status: Status) -> str:
    """The latest decision about models; empty without one."""
    models = status["models"]
    decision = None if models is None else models["decision"]
    if not decision:
        return ""
    return f"{str(decision['at'])[:16].replace('T', ' ')} {decision['event']} {decision['version']}: {decision['why']}"


def retrain_words(status: Status) -> str:
    """The last run and the next: `promoted 1.6.0 2 h ago; next 2026-12-01 02:00 UTC`; empty where nothing is used."""
    retrain = status.get("retrain")
    if retrain is None:
        return ""
    if retrain["problem"]:
        return retrain["problem"]
    last = retrain["last"]
    told = "no run yet" if last is None else run_words(last, status["taken_at"])
    return f"{told}; {next_run_words(status)}"


def end_words(status: Status) -> str:
    """Why the last retraining ended so and what to do, where no finding says that already."""
    retrain = status.get("retrain")
    last = (retrain and retrain["last"]) or {}
    if any(finding["subject"] == last.get("id") for finding in status["findings"]):
        return ""
    return "; ".join(filter(None, (last.get("reason"), last.get("remedy"))))


def next_run_words(status: Status) -> str:
    """When the next retraining begins, or why none will; empty where nothing is known."""
    retrain = status.get("retrain")
    if retrain is None or retrain["problem"]:
        return ""
    if retrain["paused_since"] is not None:
        reason = f" ({retrain['pause_reason']})" if retrain["pause_reason"] else ""
        return f"paused since {moment(retrain['paused_since'])}{reason}"
    if not retrain["configured"]:
        return "not configured any more"
    due = retrain["next_run"]
    if due is None:
        return "no `streetvision retrain serve` runs"
    return f"next {moment(due)}" if due >= status["taken_at"] else "the next is due now"


def skipped_words(status: Status) -> str:
    """Why no run began last night; empty where one did."""
    retrain = status.get("retrain")
    skipped = None if retrain is None else retrain["skipped"]
    return "" if skipped is None else f"no run began {ago(skipped['began'], status['taken_at'])}: {skipped['reason']}"


def spending_words(status: Status) -> str:
    """`3.2 GPU hours, 6.40 of money this month`; empty where retraining is not used."""
    retrain = status.get("retrain")
    if retrain is None or retrain["problem"]:
        return ""
    cost = f", {money(retrain['month_money'])}" if retrain["month_money"] else ""
    return f"{retrain['month_gpu_hours']:.1f} GPU hours{cost} this month"


def model_age_words(status: Status) -> str:
    """`12.0 days old`; empty where nobody knows, or retraining is not used."""
    retrain = status.get("retrain")
    created = None if retrain is None else retrain["model_created"]
    return "" if created is None else f"{duration(max(0.0, status['taken_at'] - created))} old"


def log_words(status: Status) -> str:
    """Health of the prediction log."""
    log = status["log"]
    if log is None:
        return NOTHING if status["miner"]["state"] == "stopped" else "not kept (--log.enabled false)"
    if log["degraded"] is not None:
        return f"cannot be written ({log['degraded']}); {log['rows_dropped']:,} requests lost"
    lost = f"; {log['rows_dropped']:,} lost" if log["rows_dropped"] else ""
    waiting = f", {log['queued']:,} waiting" if log["queued"] else ""
    sampled = "; takes samples, as serving goes first" if log["giving_way"] else ""
    kept = f"{log['rows_written']:,} requests since the start{waiting}, {_size(log['stored_bytes'])} of images"
    return f"{kept}{lost}{sampled}"


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def machine_words(status: Status) -> str:
    """Free disk, memory and GPU memory."""
    machine = status["machine"]
    parts = [
        f"{_size(machine[free])} {what} free" + (f" of {_size(machine[total])}" if machine.get(total) else "")
        for what, free, total in (
            ("disk", "disk_free", "disk_total"),
            ("memory", "memory_available", "memory_total"),
            ("GPU memory", "gpu_free", "gpu_total"),
        )
        if machine.get(free) is not None
    ]
    if machine.get("process_bytes") is not None and status["miner"]["state"] != "stopped":
        parts.append(f"the miner takes {_size(machine['process_bytes'])}")
    if machine.get("gpu_celsius") is not None:
        parts.append(f"GPU at {machine['gpu_celsius']:.0f} °C")
    return ", ".join(parts) or NOTHING


def stake_words(stake: float | None) -> str:
    """`200 k`, `1.25 M`, `950`."""
    if stake is None:
        return NOTHING
    if stake >= 999_500:
        return f"{stake / 1e6:.3g} M"
    return f"{stake / 1e3:.3g} k" if stake >= 1_000 else f"{stake:.3g}"


def milliseconds(seconds: float | None) -> str:
    """`148`, `9.3`, `0.21`, a dash for None."""
    if seconds is None:
        return NOTHING
    value = 1e3 * seconds
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def ago(time: float | None, now: float) -> str:
    """`9 s ago`, `never`."""
    return "never" if time is None else f"{duration(max(0.0, now - time))} ago"


def printable(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The same JSON without characters that steer a terminal: texts come from the chain and from model cards."""
    if isinstance(value, str):
        return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value)
    if isinstance(value, dict):
        return {printable(key): printable(item) for key, item in value.items()}
    return [printable(item) for item in value] if isinstance(value, list) else value
