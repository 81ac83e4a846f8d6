"""Whether a run should begin now, which one, and what would change that. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from streetvision.base.spending import OF_MONEY, spent_of
from streetvision.base.wording import listed, plural
from streetvision.retrain_log.records import Pause, RunRecord, RunState, Spending, StepName, StepRecord
from streetvision.settings.retrain import RetrainSettings

RESUME_ATTEMPTS = 4
"""How often one step of a run is begun before the run is given up."""
RESUME_WITHIN = timedelta(hours=48)
"""Age beyond which a run is not gone on with: the labels have moved on."""
_UNFINISHED = (RunState.RUNNING, RunState.STOPPED, RunState.INTERRUPTED, RunState.FAILED)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The newest run, where it ended before its decision."""

    run: RunRecord
    step: StepName
    """With which it goes on."""
    attempts: int
    """Of that step, until now."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known when a run is planned."""

    now: str
    """ISO 8601 in UTC."""
    running: int | None = None
    """The process that works on a run."""
    pause: Pause | None = None
    unfinished: Unfinished | None = None
    missing: str = ""
    """A package that training needs and this environment lacks."""
    unfit: str = ""
    """Why a run could not do with what the settings name; empty where it could."""
    labels: int | None = None
    """Labelled pictures that no run has used yet; None where they were not counted."""
    labels_problem: str = ""
    """Why they could not be."""
    halt: str = ""
    """What shows that the subnet is halted; empty where nothing does."""
    spent: Spending = field(default_factory=Spending)
    """This month."""

    @property
    def counted(self) -> bool:
        """Whether labels were counted, or could not be; that may take minutes, and some plans do without."""
        return self.labels is not None or bool(self.labels_problem)


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that a run depends on."""

    name: str
    met: bool
    reason: str
    """How it stands."""
    change: str = ""
    """What would meet it."""
    forcible: bool = False
    """Whether the operator may set it aside (`--force`)."""
    fault: bool = False
    """Whether no run can ever begin before the operator has acted."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run that is asked for now would do."""

    conditions: tuple[Condition, ...]
    resumes: Unfinished | None
    """The run that it goes on with; None: a new one."""
    gives_up: str = ""
    """Why the unfinished run is not gone on with, where there is one."""

    def goes(self, *, force: bool = False) -> bool:
        """Whether it begins."""
        return all(one.met or (force and one.forcible) for one in self.conditions)

    @property
    def faulty(self) -> bool:
        """Whether the operator has to act first."""
        return any(one.fault and not one.met for one in self.conditions)

    def unmet(self) -> tuple[Condition, ...]:
        """Why not."""
        return tuple(one for one in self.conditions if not one.met)


def unfinished(run: RunRecord | None, steps: Sequence[StepRecord]) -> Unfinished | None:
    """What a run left to do; None for one that came to its decision, and where there is no run."""
    if run is None or run.state not in _UNFINISHED:
        return None
    begun = next((step for step in steps if not step.done), None)
    if begun is not None:
        return Unfinished(run, begun.name, begun.attempts)
    done = {step.name for step in steps}
    return Unfinished(run, next((name for name in StepName if name not in done), StepName.PROMOTE), 0)


def make_plan(facts: Facts, wanted: RetrainSettings, *, fresh: bool = False) -> Plan:
    """Judge the facts; `fresh` leaves an unfinished run behind."""
    gives_up = _gives_up(facts, fresh=fresh)
    resumes = facts.unfinished if not gives_up else None
    conditions = (
        _configured(wanted),
        _installed(facts),
        *((_fit(facts),) if wanted.is_configured else ()),
        _alone(facts),
        _unpaused(facts),
        _subnet_runs(facts),
        *(() if resumes or not facts.counted else (_labels(facts, wanted),)),
        *_affordable(facts.spent, wanted),
    )
    return Plan(conditions, resumes, gives_up)


def _gives_up(facts: Facts, *, fresh: bool) -> str:
    left = facts.unfinished
    if left is None:
        return ""
    if fresh:
        return "a fresh run was asked for"
    if left.attempts >= RESUME_ATTEMPTS:
        return f"its step {left.step} was begun {plural(left.attempts, 'time')} and never done"
    age = datetime.fromisoformat(facts.now) - datetime.fromisoformat(left.run.started)
    hours = RESUME_WITHIN.total_seconds() / 3600
    return f"it began more than {hours:.0f} hours ago" if age > RESUME_WITHIN else ""


def _configured(wanted: RetrainSettings) -> Condition:
    lacking = [*(() if wanted.learns else ("--retrain.datasets",)), *(() if wanted.frozen else ("--retrain.frozen",))]
    if lacking:
        text = f"{listed(lacking)} {'is' if len(lacking) == 1 else 'are'} not set"
        return Condition("configured", False, text, "name your datasets (docs/retraining.md)", fault=True)
    sets = [*wanted.dataset_names, *(("what you labelled with `streetvision mine`",) if wanted.mine else ())]
    learnt, judged = listed(sets), listed(wanted.frozen_names)
    comma = "," if len(sets) > 1 else ""
    return Condition("configured", True, f"it learns from {learnt}{comma} and is judged on {judged}")


def _installed(facts: Facts) -> Condition:
    if facts.missing:
        text = f"the package {facts.missing} is missing"
        return Condition("installed", False, text, "pip install 'streetvision[retrain]'", fault=True)
    return Condition("installed", True, "all packages are installed")


def _fit(facts: Facts) -> Condition:
    if facts.unfit:
        return Condition("fit", False, facts.unfit, fault=True)
    return Condition("fit", True, "recipe, frozen set and serving model can be used")


def _alone(facts: Facts) -> Condition:
    if facts.running is not None:
        change = "let it finish, or end it with `streetvision retrain stop`"
        return Condition("alone", False, f"process {facts.running} works on a run", change)
    return Condition("alone", True, "no other run is going")


def _unpaused(facts: Facts) -> Condition:
    if facts.pause is None:
        return Condition("unpaused", True, "retraining is not paused")
    why = f" ({facts.pause.reason})" if facts.pause.reason else ""
    text = f"you paused retraining on {facts.pause.since[:10]}{why}"
    return Condition("unpaused", False, text, "`streetvision retrain resume`", forcible=True)


def _subnet_runs(facts: Facts) -> Condition:
    if facts.halt:
        return Condition("subnet", False, f"the subnet is halted: {facts.halt}", "wait for its end", forcible=True)
    return Condition("subnet", True, "nothing says that the subnet is halted")


def _labels(facts: Facts, wanted: RetrainSettings) -> Condition:
    if facts.labels is None:
        change = "make what --retrain.datasets names readable"
        return Condition("labels", False, facts.labels_problem, change, fault=True)
    text = f"{plural(facts.labels, 'new label')}; a run begins at {wanted.min_labels:,}"
    if facts.labels >= wanted.min_labels:
        return Condition("labels", True, text)
    left = wanted.min_labels - facts.labels
    return Condition("labels", False, text, f"label {left:,} more, or lower --retrain.min_labels", forcible=True)


def _affordable(spent: Spending, wanted: RetrainSettings) -> tuple[Condition, ...]:
    bounds = (
        ("gpu_hours", "GPU hours", spent.gpu_hours, wanted.gpu_hours),
        ("budget", OF_MONEY, spent.money, wanted.budget),
    )
    return tuple(
        Condition(
            name,
            used < bound,
            f"{spent_of(used, bound, unit)} spent this month",
            "" if used < bound else f"wait, or raise --retrain.{name}",
        )
        for name, unit, used, bound in bounds
        if bound is not None
    )
