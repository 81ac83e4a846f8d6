"""What goes wrong in the field, played on the simulated subnet: what must be found, by when, and as which cause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from simulation.subnet import IMMUNITY, TEMPO
from simulation.world import GIB, World
from streetvision.models.router import RouterOutcome
from streetvision.monitor.diagnosis import Cause, Diagnosis, diagnose
from streetvision.monitor.finding import Finding
from streetvision.monitor.observation import BackendView, CrashView, DeviceView, RolloutView, StoreView
from streetvision.monitor.retraining import RetrainView, RunView
from streetvision.monitor.rules import judge
from streetvision.monitor.thresholds import DAY
from streetvision.retrain_log.records import RunState

Turn = Callable[[World], None]
STEP = 5
"""Blocks between two looks: a minute, as often as the miner reads the chain."""
SLOW_STEP = 60
"""For what takes days."""
WARM_UP_DAYS = 8.0
"""A week to learn from, and a day."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One trouble. It must be found within a tempo of being true."""

    name: str
    begin: Turn
    code: str
    cause: Cause
    """What the diagnosis must say within the tempo."""
    each_step: Turn | None = None
    is_true: Callable[[World], bool] = lambda world: True
    """When the trouble can be seen at all; the tempo counts from there."""
    step: int = STEP
    """Blocks between two looks."""
    most_blocks: int = 9 * 20 * TEMPO
    """When to give up waiting for `is_true`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a scenario ended."""

    name: str
    blocks: int | None
    """From being true to being found and rightly diagnosed; None when neither came within a tempo."""
    finding: Finding | None
    diagnosis: Diagnosis
    others: tuple[str, ...]
    """Codes of the other findings at that time."""


def play(scenario: Scenario, world: World) -> Outcome:
    """Play it on `world`, which is used up."""
    scenario.begin(world)
    waited, true_for = 0, 0
    while True:
        world.advance(scenario.step)
        if scenario.each_step is not None:
            scenario.each_step(world)
        waited += scenario.step
        true_for += scenario.step if true_for or scenario.is_true(world) else 0
        outcome = _look(scenario, world, max(0, true_for - scenario.step))
        if outcome.blocks is not None or true_for > TEMPO or waited > scenario.most_blocks:
            return outcome


def _look(scenario: Scenario, world: World, blocks: int) -> Outcome:
    seen = world.observe()
    findings = judge(seen)
    diagnosis = diagnose(seen, findings)
    finding = next((f for f in findings if f.code == scenario.code), None)
    found = finding is not None and diagnosis.cause is scenario.cause
    others = tuple(f.code for f in findings if f.code != scenario.code)
    return Outcome(scenario.name, blocks if found else None, finding, diagnosis, others)


def _set(**changes: object) -> Turn:
    """Turn attributes of the world; `subnet__x` is the subnet's `x`."""

    def turn(world: World) -> None:
        for name, value in changes.items():
            target, _, attribute = name.rpartition("__")
            owner = world.subnet if target else world
            if not hasattr(owner, attribute):
                raise AttributeError(attribute)
            setattr(owner, attribute, value)

    return turn


def _machine(**changes: int | float) -> Turn:
    def turn(world: World) -> None:
        world.machine = replace(world.machine, **changes)  # type: ignore[arg-type]  # its own fields, any of them

    return turn


def _halt_quietly(world: World) -> None:
    world.subnet.halted, world.challenges = True, False


def _sleep_all(world: World) -> None:
    world.subnet.asleep = {v.hotkey for v in world.subnet.validators}


def _silence_one(world: World) -> None:
    world.subnet.mute = {world.subnet.validators[0].hotkey}


def _near_the_front(world: World) -> None:
    world.subnet.own_skill, world.subnet.registrations_per_day = 0.0, 60.0


def _immunity_ending(world: World) -> None:
    world.subnet.own_skill = 0.0
    world.subnet.renew_own(IMMUNITY - 7_200 - 3 * TEMPO)


def _decline(world: World) -> None:
    """Six percent of the worth a day; the worth is the cube of the skill."""
    world.subnet.own_skill *= 0.94 ** (SLOW_STEP / 7_200 / 3)


def _flap(world: World) -> None:
    """Burned in every other tempo."""
    world.subnet.halted = ((world.subnet.last_epoch // TEMPO) % 2) == 0


def _old_model(world: World) -> None:
    world.model = replace(world.model, created=world.now - 80 * DAY)


def _foreign_card(world: World) -> None:
    world.model = replace(world.model, card_hotkey="somebody-else")


def _rolled_back(world: World) -> None:
    world.rollout = RolloutView("rolled_back", "1.5.0", "Its answers differed in 31 of 100 requests.", world.now)


def _lose_backend(world: World) -> None:
    world.backend = BackendView("ray", "open", world.now, "unreachable", "connection refused", 900, 40)


def _lost_device(world: World, *, on_cpu: bool) -> None:
    world.device = DeviceView(world.now, "unspecified launch failure", on_cpu=on_cpu)
    world.failing = {} if on_cpu else {"device": 1.0}


def _crashes(world: World) -> None:
    world.crashes = tuple(CrashView(world.now - ago, "killed by signal 9") for ago in (90.0, 60.0, 30.0))


def _retrained(state: RunState, step: str = "") -> Turn:
    """The last run has just ended so."""

    def turn(world: World) -> None:
        run = RunView("20261101-0200", state, world.now - 3600.0, world.now, step, "Three nights ago.", version="1.5.0")
        world.retrain = RetrainView(last=run, decided_at=world.now)
        world.model = replace(world.model, version="1.5.0" if state is RunState.PROMOTED else "1.4.0")

    return turn


def _never_retrained(world: World) -> None:
    world.retrain = RetrainView(decided_at=world.now - 20 * DAY)


def _burned(world: World) -> bool:
    last = world.history.points[-1]
    return last.burn_share >= 0.99


def _weights_are_old(world: World) -> bool:
    age = world.history.points[-1].weights_age
    return age is not None and age >= TEMPO


def _epoch_passed(share: float) -> Callable[[World], bool]:
    """Whether the newest epoch paid less than `share` of the day before."""

    def is_true(world: World) -> bool:
        paid = [p.emission for p in {p.epoch: p for p in world.history.points[-600:]}.values()]
        return paid[-1] < share * sum(paid[-21:-1]) / len(paid[-21:-1])

    return is_true


def _a_day_of_immunity(world: World) -> bool:
    until = world.history.points[-1].immune_until
    return until is not None and until - world.subnet.block <= 7_200


def _day_is_down(world: World) -> bool:
    """Whether the last day's mean is a quarter below that of the same day a week before; asked after each epoch."""
    if world.subnet.block - world.subnet.last_epoch >= SLOW_STEP:
        return False
    last = {p.epoch: p for p in world.history.points}
    now = [p.emission for p in last.values() if p.time > world.now - DAY]
    then = [p.emission for p in last.values() if world.now - 8 * DAY < p.time <= world.now - 7 * DAY]
    return bool(then) and sum(now) / len(now) < 0.75 * sum(then) / len(then)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("subnet halted, challenges stop", _halt_quietly, "subnet_halted", Cause.HALTED, is_true=_burned),
    Scenario("subnet halted, challenges go on", _set(subnet__halted=True), "subnet_halted", Cause.HALTED),
    Scenario("burn share flaps", _flap, "subnet_halted", Cause.HALTED, each_step=_flap, is_true=_burned),
    Scenario("validators die", _sleep_all, "no_requests", Cause.NOT_QUERIED),
    Scenario(
        "validators set no weights",
        _set(subnet__weights_stopped=True),
        "subnet_halted",
        Cause.HALTED,
        is_true=_weights_are_old,
    ),
    Scenario("sudden deregistration", lambda w: w.subnet.deregister_own(), "deregistered", Cause.NOT_REGISTERED),
    Scenario(
        "immunity ends unpaid",
        _immunity_ending,
        "deregistration_risk",
        Cause.ANSWERING_WRONG,
        is_true=_a_day_of_immunity,
    ),
    Scenario("burst of registrations", _near_the_front, "deregistration_risk", Cause.ANSWERING_WRONG),
    Scenario(
        "another endpoint on the chain", _set(subnet__axon="198.51.100.1:8091"), "endpoint_differs", Cause.NOT_REACHABLE
    ),
    Scenario("endpoint gone from the chain", _set(subnet__axon=None), "endpoint_differs", Cause.NOT_REACHABLE),
    Scenario("port closed", _set(port_open=False), "endpoint_unreachable", Cause.NOT_REACHABLE),
    Scenario(
        "a proxy drops the headers",
        _set(challenges=False, refused={"headers_dropped": 13, "unknown_path": 40}),
        "headers_missing",
        Cause.NOT_REACHABLE,
    ),
    Scenario(
        "a proxy speaks the PROXY protocol",
        _set(challenges=False, refused={"proxy_protocol": 13}),
        "proxy_protocol",
        Cause.NOT_REACHABLE,
    ),
    Scenario("validators stop asking", _set(challenges=False), "no_requests", Cause.NOT_QUERIED),
    Scenario("one validator silent", _silence_one, "validator_silent", Cause.EARNING),
    Scenario("requests fail at times", _set(failing={"runner": 0.3}), "requests_failing", Cause.ANSWERING_LATE),
    Scenario("second model fails", _set(router=RouterOutcome.FAILED), "second_model_failing", Cause.EARNING),
    Scenario("every request fails", _set(failing={"runner": 1.0}), "requests_failing", Cause.ANSWERING_LATE),
    Scenario("photos too large", _set(failing={"image_too_large": 0.4}), "images_refused", Cause.REFUSING_IMAGES),
    Scenario("photos unreadable", _set(failing={"bad_image": 0.6}), "images_refused", Cause.REFUSING_IMAGES),
    Scenario("overloaded", _set(failing={"overloaded": 0.4}), "latency_near_deadline", Cause.ANSWERING_LATE),
    Scenario("model too slow", _set(latency_s=8.4), "latency_near_deadline", Cause.ANSWERING_LATE),
    Scenario("latency near the deadline", _set(latency_s=6.0), "latency_near_deadline", Cause.EARNING),
    Scenario("one class only", _set(stuck=0.31), "one_class", Cause.ANSWERING_WRONG),
    Scenario("scores drift", _set(positive_share=0.75), "score_drift", Cause.EARNING),
    Scenario(
        "emission crashes",
        _set(subnet__own_skill=0.45),
        "emission_fell",
        Cause.OUTCOMPETED,
        is_true=_epoch_passed(0.5),
    ),
    Scenario(
        "slow decline",
        lambda world: None,
        "emission_fell",
        Cause.OUTCOMPETED,
        each_step=_decline,
        is_true=_day_is_down,
        step=SLOW_STEP,
    ),
    Scenario("overtaken by others", _set(subnet__rivals_gain=1.5), "rank_fell", Cause.OUTCOMPETED),
    Scenario("more is burned", _set(subnet__burn_share=0.7), "emission_fell", Cause.EARNING),
    Scenario("subnet renamed", _set(subnet__name="Elsewhere"), "subnet_changed", Cause.EARNING),
    Scenario("metagraph stale", _set(chain_up=False), "metagraph_stale", Cause.EARNING),
    Scenario("clock ahead", _set(skew_s=9.0), "clock_skew", Cause.EARNING),
    Scenario("clock far behind", _set(skew_s=-45.0), "clock_skew", Cause.ANSWERING_LATE),
    Scenario("node two hours behind", _set(node_lag_s=7200.0), "node_lags", Cause.EARNING),
    Scenario("node in the future", _set(node_lag_s=-60.0), "node_ahead", Cause.EARNING),
    Scenario("old model", _old_model, "model_old", Cause.EARNING),
    Scenario("foreign model card", _foreign_card, "card_foreign", Cause.EARNING),
    Scenario("canary rolled back", _rolled_back, "model_rolled_back", Cause.EARNING),
    Scenario("no retraining for long", _never_retrained, "retrain_idle", Cause.EARNING),
    Scenario("retraining fails", _retrained(RunState.FAILED, "train"), "retrain_failed", Cause.EARNING),
    Scenario("retrained and rolled back", _retrained(RunState.ROLLED_BACK), "retrain_rolled_back", Cause.EARNING),
    Scenario("labels refused", _retrained(RunState.REFUSED, "train"), "retrain_refused", Cause.EARNING),
    Scenario("retrained and not put on", _retrained(RunState.WAITING), "retrain_waiting", Cause.EARNING),
    Scenario("retrained and put on", _retrained(RunState.PROMOTED), "retrain_promoted", Cause.EARNING),
    Scenario(
        "log of retraining unreadable",
        _set(retrain=RetrainView(problem="the disk is full")),
        "retrain_log_unread",
        Cause.EARNING,
    ),
    Scenario("disk nearly full", _machine(disk_free=GIB // 8), "disk_low", Cause.EARNING),
    Scenario("memory nearly full", _machine(memory_available=GIB), "memory_low", Cause.EARNING),
    Scenario("GPU memory taken", _machine(gpu_free=GIB), "gpu_pressure", Cause.EARNING),
    Scenario("backend away", _lose_backend, "backend_away", Cause.EARNING),
    Scenario("GPU lost, the CPU answers", lambda world: _lost_device(world, on_cpu=True), "device_lost", Cause.EARNING),
    Scenario(
        "GPU lost, nothing answers",
        lambda world: _lost_device(world, on_cpu=False),
        "device_lost",
        Cause.ANSWERING_LATE,
    ),
    Scenario("crashes again and again", _crashes, "crash_loop", Cause.EARNING),
    Scenario("log cannot be written", _set(log=StoreView("disk_full", 40)), "log_degraded", Cause.EARNING),
    Scenario(
        "history cannot be written", _set(history_store=StoreView("locked", 3)), "history_degraded", Cause.EARNING
    ),
)
