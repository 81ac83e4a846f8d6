"""`streetvision retrain`: what it prints, for people and for programs, and how it ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from streetvision.base.state_folder import only_one
from streetvision.cli.retrain_view import Sparse
from streetvision.errors import OperatorError
from streetvision.retrain import facts
from streetvision.retrain.running import Parts
from streetvision.retrain.step import Context, Output, Refused
from streetvision.retrain_log.records import RunState, StepName
from streetvision.retrain_log.schema import FOLDER, LOCK
from streetvision.retrain_log.store import RetrainStore

Run = Callable[..., tuple[int, str, str]]
STEPS = (StepName.DATASET, StepName.EVALUATE, StepName.PUBLISH)


class Fake:
    """The steps of a run, and what one of them does in this test."""

    def __init__(self) -> None:
        self.labels = 500
        self.evaluate: Callable[[Context], Output] = lambda _: {"mcc": 0.91}

    def parts(self) -> Parts:
        outputs: dict[StepName, Output] = {StepName.DATASET: {"fingerprint": "ab12"}}
        steps = {name: (lambda context: outputs.get(context.name, {})) for name in STEPS}
        steps |= {StepName.EVALUATE: self.evaluate}
        steps |= {StepName.PUBLISH: lambda _: {"version": "1.0.1"}}
        return Parts(steps, lambda _: None, lambda _: None, lambda *_: self.labels, lambda _: "1.0.0")


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake()
    monkeypatch.setitem(sys.modules, "streetvision.retrain.steps.table", SimpleNamespace(parts=made.parts))
    monkeypatch.setattr(facts, "NEEDED", ())
    monkeypatch.setenv("RETRAIN_DATASETS", "streets")
    monkeypatch.setenv("RETRAIN_FROZEN", "held")
    return made


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_a_run_is_told_step_by_step_and_ends_in_a_line(command: Run, state: Path) -> None:
    code, out, err = command("retrain", "run")
    assert code == 0
    assert out.strip().endswith("promoted: version 1.0.1 serves")
    assert err.splitlines()[1:] == ["step dataset", "step evaluate", "step publish"]
    assert err.startswith("run 2")
    (run,) = RetrainStore(state / FOLDER).runs()
    assert (run.trigger, run.baseline) == ("command", "1.0.0")


def test_a_run_is_told_to_programs_as_events(command: Run, state: Path) -> None:
    code, out, err = command("retrain", "run", "--json")
    assert (code, err) == (0, "")
    events = lines(out)
    assert [one["event"] for one in events] == ["run", *(["step", "step_done"] * 3), "end"]
    assert (events[-1]["state"], events[-1]["version"]) == ("promoted", "1.0.1")


@pytest.mark.parametrize(
    ("error", "code", "state_then"),
    [
        (OperatorError("the frozen set is gone: add it"), 1, "failed"),
        (Refused("night fell by 0.1", "look at the labels"), 0, "refused"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_the_exit_code_tells_failures_from_refusals(
    command: Run, state: Path, fake: Fake, error: BaseException, code: int, state_then: str
) -> None:
    def evaluate(context: Context) -> Output:
        raise error

    fake.evaluate = evaluate
    found, _, _ = command("retrain", "run")
    assert found == code
    _, out, _ = command("retrain", "history", "--json")
    assert lines(out)[0]["state"] == state_then


def test_a_plan_says_why_not_and_what_would_change_it(command: Run, state: Path, fake: Fake) -> None:
    fake.labels = 20
    code, out, _ = command("retrain", "plan")
    assert code == 0
    assert out.startswith("no run would begin now:\n")
    assert "no   20 new labels; a run begins at 200\n       label 180 more" in out
    assert "`streetvision retrain run --force` begins one all the same" in out
    assert not (state / FOLDER).exists(), "a look writes nothing"
    code, out, _ = command("retrain", "run")
    assert (code, out.startswith("no run would begin now:\n")) == (0, True)
    assert command("retrain", "run", "--force")[0] == 0


def test_a_plan_says_what_the_run_would_do(command: Run, state: Path, fake: Fake) -> None:
    code, out, _ = command("retrain", "plan")
    assert code == 0
    assert "a new run would begin now, train by lora and, where the gates pass, let the miner try the model" in out
    fields = lines(command("retrain", "plan", "--json")[1])[0]
    assert (fields["goes"], fields["resumes"], len(fields["conditions"])) == (True, None, 7)

    def evaluate(context: Context) -> Output:
        raise OperatorError("no network")

    fake.evaluate = evaluate
    command("retrain", "run")
    assert "a run would go on with 2" in (out := command("retrain", "plan")[1])
    assert "at its step evaluate" in out


def test_without_datasets_a_run_fails_in_no_time(command: Run, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RETRAIN_DATASETS")
    monkeypatch.setenv("RETRAIN_MINE", "false")
    code, out, _ = command("retrain", "run")
    assert code == 1
    assert "no   --retrain.datasets is not set\n       name your datasets (docs/retraining.md)" in out


def test_the_history_and_a_page_tell_of_a_run(command: Run, state: Path, fake: Fake) -> None:
    def evaluate(context: Context) -> Output:
        context.decide("frozen_set", passed=True, reason="MCC rose by 0.02")
        context.decide("slices", passed=False, reason="night fell by 0.1")
        context.decide("traffic", passed=True, reason="too little", evidence={"outcome": "unjudged"})
        context.spend(1.5, 3.0)
        raise Refused("night fell by 0.1", "look at the labels of the night")

    fake.evaluate = evaluate
    command("retrain", "run")
    code, out, _ = command("retrain", "history")
    head, row = out.splitlines()
    assert (code, head.split()) == (0, ["run", "state", "began", "took", "GPU", "hours", "version", "why"])
    assert "refused" in row
    assert "1.50" in row
    assert row.endswith("night fell by 0.1")
    code, out, _ = command("retrain", "show")
    assert code == 0
    for text in ("look at the labels of the night", "against version 1.0.0", "from pictures ab12", "3.00 of money",
                 "dataset     done", "evaluate    not done", "passed   frozen_set: MCC rose by 0.02",
                 "refused  slices: night fell by 0.1", "unjudged traffic: too little"):  # fmt: skip
        assert text in out
    fields = lines(command("retrain", "show", row.split()[0], "--json")[1])[0]
    assert [step["name"] for step in fields["steps"]] == ["dataset", "evaluate"]
    assert [one["passed"] for one in fields["verdicts"]] == [True, False, True]


def test_a_reason_cannot_steer_the_terminal(command: Run, state: Path, fake: Fake) -> None:
    def evaluate(context: Context) -> Output:
        raise OperatorError("\x1b[31mred\nsecond")

    fake.evaluate = evaluate
    out = "".join(command("retrain", name)[1] for name in ("run", "history", "show"))
    assert "\x1b" not in out
    assert "\\x1b[31mred\\nsecond" in out


def test_pausing_keeps_runs_from_beginning_until_resumed(command: Run, state: Path) -> None:
    code, out, _ = command("retrain", "pause", "--reason", "holidays")
    assert (code, out.startswith("paused since 2")) == (0, True)
    assert "(holidays)" in command("retrain", "plan")[1]
    assert command("retrain", "run", "--scheduled")[0] == 0
    (noted,) = RetrainStore(state / FOLDER).runs()
    assert (noted.state, "holidays" in noted.reason) == (RunState.NOTHING_TO_DO, True)
    assert lines(command("retrain", "resume", "--json")[1]) == [{"paused": False}]
    assert command("retrain", "run")[1].strip().endswith("serves")


def test_stopping_without_a_run_and_unknown_runs_are_told(command: Run, state: Path) -> None:
    code, out, err = command("retrain", "stop")
    assert (code, out) == (1, "")
    assert "no run is going" in err
    with only_one(state / FOLDER, LOCK):
        assert "is still counting labels: try again in a moment" in command("retrain", "stop")[2]
    assert "there is no run yet" in command("retrain", "show")[2]
    command("retrain", "run")
    code, _, err = command("retrain", "show", "yesterday")
    assert code == 1
    assert "there is no run 'yesterday'; the last ones are 2" in err


def test_what_a_step_tells_is_shown(command: Run, state: Path, fake: Fake) -> None:
    figures = {"epoch": 0, "at_step": 6, "accuracy": 0.9, "mcc": 0.8, "auc": 0.95, "calibrated_nll": 0.3, "best": True}

    def evaluate(context: Context) -> Output:
        context.tell({"event": "progress", "what": "judging", "done": 3, "total": 9})
        context.tell({"event": "progress", "what": "training", "at_step": 3, "total_steps": 9, "loss": 0.1})
        context.tell({"event": "validation", **figures})
        context.tell({"event": "warning", "why": "it takes turns\x1b[0m with serving"})
        context.tell({"event": "unreadable", "count": 2, "pictures": []})
        context.tell({"event": "of another version"})
        return {"pictures": 3, "why": "better", "paths": ["/a"], "share": 0.25}

    fake.evaluate = evaluate
    code, _, err = command("retrain", "run")
    assert code == 0
    assert err.splitlines()[3:6] == [
        "epoch   1  step      6  accuracy 0.900, MCC 0.800, AUC 0.950, loss 0.300  best",
        "warning: it takes turns\\x1b[0m with serving",
        "warning: 2 pictures cannot be read and were left out",
    ]
    page = command("retrain", "show")[1]
    assert "evaluate    done, 0 s\n  pictures: 3\n  why: better\n  share: 0.25\npublish" in page


def test_programs_hear_of_progress_once_a_second() -> None:
    now = [0.0]
    sparse = Sparse(lambda: now[0])
    heard = []
    for done in range(1, 41):
        now[0] = done / 10
        event = {"event": "progress", "step": "train", "what": "judging", "done": done, "total": 40}
        heard += [done] if sparse.wants(event) else []
    assert heard == [1, 11, 21, 31]
    assert sparse.wants({"event": "progress", "step": "evaluate", "what": "judging", "done": 1, "total": 9})
    assert sparse.wants({"event": "warning", "step": "train", "why": "x"})


def test_a_page_of_a_run_is_written(command: Run, state: Path) -> None:
    command("retrain", "run")
    code, _, err = command("retrain", "show", "--report", "run.html")
    assert (code, err) == (0, "wrote run.html\n")
    assert "Version 1.0.1 serves." in (state / "run.html").read_text()
    code, _, err = command("retrain", "show", "--report", "no/where.html")
    assert code == 1
    assert "name another file with --report" in err
