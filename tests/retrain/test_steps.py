"""The steps up to the registry, over real pictures, real training and real judging, all of it tiny."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streetvision.errors import OperatorError
from streetvision.evaluation.predictions import Serving, answer_examples, serving
from streetvision.models.folder import read_config
from streetvision.retrain.gates import Standards
from streetvision.retrain.jobs import answered
from streetvision.retrain.labels import count_labels, seen_labels
from streetvision.retrain.step import NothingToDo, Refused, Stopped
from streetvision.retrain.steps.collect import check
from streetvision.retrain.steps.table import baseline
from streetvision.retrain.steps.work import standards
from streetvision.retrain_log.records import RunState, StepName
from streetvision.settings.model import ModelSettings
from streetvision.sources.dataset import Example
from streetvision.sources.listed import ListedDataset
from streetvision.training.run_folder import all_runs

from ..conftest import Logbook
from .fakes import START
from .streets import LEARNING, Street, draw, spoiled, store_set, street

COLLECTING = LEARNING[:4]


def listed(one: Street) -> ListedDataset:
    return ListedDataset(Path(str(one.outputs()[StepName.DATASET]["pictures"])))


def test_an_improvement_is_trained_judged_and_published(learned: Street) -> None:
    assert learned.verdicts() == {"new_labels": True, "frozen_set": True, "latest_labels": True, "traffic": True}
    frozen = learned.store.verdicts(learned.run.id)[1]
    assert frozen.reason.startswith("it is better: accuracy +")
    assert frozen.evidence["differences"]["accuracy"]["low"] > 0
    run = learned.store.run(learned.run.id)
    assert run is not None
    assert (run.version, run.fingerprint) == ("1.1.0", listed(learned).fingerprint)
    assert learned.registry.servable("1.1.0").metrics["accuracy"] > 0.9


def test_nothing_of_the_frozen_set_is_learned_from(learned: Street) -> None:
    frozen = ListedDataset(Path(str(learned.outputs()[StepName.DATASET]["frozen"]))).examples()
    assert len(frozen) == 80
    assert not {one.sha256 for one in frozen} & {one.sha256 for one in listed(learned).examples()}


def test_the_card_tells_of_the_data_and_not_of_the_machine(learned: Street) -> None:
    card = dict(read_config(learned.registry.get("1.1.0").folder).card)
    assert card["data"]["sets"] == [f"retraining-{learned.run.id}"]
    assert str(learned.state) not in json.dumps(card)


def test_labels_that_were_learned_from_are_no_longer_new(learned: Street) -> None:
    assert learned.outputs()[StepName.COLLECT]["new_labels"] == 160
    assert count_labels(learned.settings, learned.store) == 0
    assert len(seen_labels(learned.store)) == 160


def test_the_serving_model_is_the_baseline(learned: Street) -> None:
    assert baseline(learned.settings) == "1.0.0"
    nothing = replace(learned.settings, state_dir=learned.state / "empty", model=ModelSettings())
    assert baseline(nothing) == ""


def poisoned(folder: Path, serving: Path, **wanted: Any) -> Street:
    """A street whose labels are turned round by half."""
    made = street(folder, serving, datasets="poisoned", **wanted)
    store_set(made.state, "poisoned", draw(folder / "poisoned", range(2000, 2120), wrong=lambda n: n % 4 < 2))
    return made


def test_poisoned_labels_are_refused_before_anything_is_learned(tmp_path: Path, good_model: Path) -> None:
    made = poisoned(tmp_path, good_model)
    with pytest.raises(Refused, match=r"the new labels look wrong: \d+ of 120 are contradicted"):
        made.do(*LEARNING)
    assert made.verdicts() == {"new_labels": False}
    assert not all_runs(made.state)
    assert count_labels(made.settings, made.store) == 120, "they stay new, so that the next run looks at them again"


def test_poison_that_is_not_seen_does_not_pass_the_frozen_set(tmp_path: Path, good_model: Path) -> None:
    made = poisoned(tmp_path, good_model, max_doubt=1.0)
    with pytest.raises(Refused, match="the new model is not put on: "):
        made.do(*LEARNING, StepName.EVALUATE)
    assert not made.verdicts()["frozen_set"]
    assert [one.version for one in made.registry.versions()] == ["bundled", "1.0.0"]


def with_candidate(made: Street, candidate: Path) -> None:
    """As if training had come to this model."""
    made.do(*COLLECTING)
    made.store.begin_step(made.run.id, StepName.TRAIN, made.time.now())
    output = {"training": "none", "candidate": str(candidate)}
    made.store.finish_step(made.run.id, StepName.TRAIN, output, made.time.now())


def test_a_regression_is_refused(tmp_path: Path, good_model: Path) -> None:
    made = street(tmp_path, good_model)
    with_candidate(made, spoiled(good_model, tmp_path / "spoiled"))
    with pytest.raises(Refused, match=r"the frozen set: it is worse: accuracy -"):
        made.do(StepName.EVALUATE)


def test_a_frozen_set_that_went_fails_the_step_and_refuses_nothing(tmp_path: Path, good_model: Path) -> None:
    made = street(tmp_path, good_model)
    with_candidate(made, good_model)
    pictures = made.state / "datasets" / "held" / "pictures"
    pictures.rename(tmp_path / "elsewhere")
    with pytest.raises(
        OperatorError, match=r"80 of 80 pictures of the frozen set cannot be read \(.+\): bring them back"
    ):
        made.do(StepName.EVALUATE)
    (tmp_path / "elsewhere").rename(pictures)
    made.want(accept="not_worse")
    assert made.do(StepName.EVALUATE)["against"] == "1.0.0"


def test_an_equal_model_is_put_on_only_where_that_is_enough(tmp_path: Path, good_model: Path) -> None:
    made = street(tmp_path, good_model)
    with_candidate(made, good_model)
    with pytest.raises(Refused, match="no set shows it to be better") as refused:
        made.do(StepName.EVALUATE)
    assert "--retrain.accept not_worse" in refused.value.remedy
    made.want(accept="not_worse")
    assert "it is not worse" in str(made.do(StepName.EVALUATE)["why"])


def test_pictures_that_led_nowhere_are_not_tried_again(tmp_path: Path) -> None:
    made = street(tmp_path)
    made.do(*COLLECTING)
    first = made.store.run(made.run.id)
    assert first is not None
    made.store.end(replace(first, state=RunState.REFUSED, ended=made.time.now(), reason="it was worse"))
    made.run = replace(made.run, id="20261201-0200")
    with pytest.raises(NothingToDo, match=r"20261130-0200 had the same pictures, .*: it was worse"):
        made.do(*COLLECTING)


def test_a_stopped_training_goes_on_where_it_ended(tmp_path: Path) -> None:
    made = street(tmp_path)
    made.do(*COLLECTING)
    made.stop = lambda: any(event.get("event") == "validation" for event in made.events)
    with pytest.raises(Stopped):
        made.do(StepName.TRAIN)
    (training,) = all_runs(made.state)
    assert training.metrics()
    made.stop = lambda: False
    output = made.do(StepName.TRAIN)
    assert [one.name for one in all_runs(made.state)] == [output["training"]]
    assert len(training.metrics()) > 1
    assert training.record().seconds > 0


def test_sets_that_are_not_there_are_told(tmp_path: Path) -> None:
    made = street(tmp_path, datasets="strets")
    with pytest.raises(OperatorError, match="did you mean streets"):
        made.do(StepName.COLLECT)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"recipe": "larger"}, "larger cannot be read .*: give a recipe"),
        ({"publish": True}, r"name it with --model\.repo"),
        ({"frozen": "hold"}, "did you mean held"),
        ({"frozen": "/no/where"}, "There is no /no/where, which --retrain.frozen names"),
        ({"frozen": "few"}, "The frozen set has 4 groups of pictures, and fewer than 5 cannot tell"),
        ({"frozen": "works"}, "The frozen set shows roadwork alone: give it pictures of both kinds"),
    ],
)
def test_what_would_fail_hours_later_is_told_before_a_run(tmp_path: Path, wanted: dict[str, Any], said: str) -> None:
    made = street(tmp_path)
    check(made.settings)
    store_set(made.state, "works", draw(tmp_path / "works", range(2000, 2020, 2)))
    store_set(made.state, "few", draw(tmp_path / "few", range(2100, 2104)))
    made.want(**wanted)
    with pytest.raises(OperatorError, match=said):
        check(made.settings)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        (range(1000, 1020), r"no picture is left to learn from \(20: it resembles a picture of the frozen set\): add"),
        (range(2000, 2060, 2), "there is no picture without roadwork to learn from"),
    ],
)
def test_a_set_that_cannot_teach_is_told_before_a_model_is_asked(tmp_path: Path, numbers: range, said: str) -> None:
    made = street(tmp_path, datasets="other")
    store_set(made.state, "other", draw(tmp_path / "other", numbers))
    with pytest.raises(OperatorError, match=said):
        made.do(*COLLECTING)


def test_a_frozen_folder_of_one_class_is_told_when_it_is_read(tmp_path: Path) -> None:
    made = street(tmp_path, frozen=str(draw(tmp_path / "quiet", range(2001, 2021, 2))))
    check(made.settings)
    with pytest.raises(OperatorError, match="shows no roadwork"):
        made.do(*COLLECTING)


def test_a_model_outside_the_registry_is_not_gone_on_from(tmp_path: Path, good_model: Path) -> None:
    made = street(tmp_path)
    made.registry.release(over="", why="a test")
    settings = made.settings
    outside = replace(settings, model=replace(settings.model, choice=str(good_model)))
    with pytest.raises(OperatorError, match="streetvision models add"):
        check(outside)


def test_the_gates_know_all_that_is_asked(tmp_path: Path) -> None:
    made = Street(tmp_path)
    asked: dict[str, Any] = standards(made.settings)
    assert Standards(**asked).min_agreement == made.settings.rollout.min_agreement
    made.want(deploy=False)
    assert Standards(**standards(made.settings)).min_agreement == made.settings.retrain.min_agreement


def logged(made: Street, model: Path, count: int, *, first: int = 3000) -> None:
    """Yesterday's traffic: pictures that the model in `model` answered, in the miner's log."""
    config = read_config(model)
    book = Logbook(made.state, START.timestamp() - 3600.0)
    pictures = sorted(draw(made.state / "asked", range(first, first + count)).rglob("*.png"))
    examples = [Example(path, True, path.stem, "test") for path in pictures]

    async def told() -> list[float]:
        async with serving(model, Serving("cpu")) as engine:
            return [float(value) for value in (await answer_examples(engine, examples)).sample.probabilities]

    answers = [book.answer(value, model=config.version) for value in asyncio.run(told())]
    book.write(*(book.record(path.read_bytes(), one) for path, one in zip(pictures, answers, strict=True)))


def test_yesterdays_traffic_is_answered_again(tmp_path: Path, good_model: Path) -> None:
    made = street(tmp_path, good_model)
    logged(made, made.registry.get("1.0.0").folder, 40)
    with_candidate(made, good_model)
    made.want(accept="not_worse")
    made.do(StepName.EVALUATE)
    (traffic,) = [one for one in made.store.verdicts(made.run.id) if one.gate == "traffic"]
    assert traffic.reason == "decides 40 of 40 pictures alike"
    assert traffic.evidence["mean_shift"] < 1e-4


def test_a_candidate_that_would_be_taken_off_again_is_not_put_on(tmp_path: Path, good_model: Path) -> None:
    made = street(tmp_path)
    logged(made, made.registry.get("1.0.0").folder, 40)
    with_candidate(made, good_model)
    with pytest.raises(Refused, match=r"yesterday's traffic: it decides \d+ of 40 pictures otherwise"):
        made.do(StepName.EVALUATE)
    made.want(deploy=False, min_agreement=0.0)
    made.do(StepName.EVALUATE)


def test_requests_whose_labels_are_known_by_now_judge_the_new_model(tmp_path: Path, good_model: Path) -> None:
    """The validators asked pictures of the frozen set, and two that were learned from, which tell nothing."""
    made = street(tmp_path, good_model)
    made.do(*COLLECTING)
    logged(made, good_model, 40, first=1000)
    output, lists = {"wrong": spoiled(good_model, tmp_path / "spoiled"), "good": good_model}, made.outputs()
    request = {
        "state_dir": str(made.state),
        "serving": str(good_model),
        "pictures": lists[StepName.DATASET]["pictures"],
        "sets": ["streets"],
        "frozen_sets": ["held"],
        "log": str(made.state / "log"),
        "since": START.timestamp() - 86400.0,
        "device": "cpu",
    }
    found = {
        name: answered.run(request | {"candidate": str(folder)}, lambda _: None, lambda: False)
        for name, folder in output.items()
    }
    assert (found["wrong"]["outcome"], found["good"]["outcome"]) == ("refused", "passed")
    assert found["wrong"]["figures"]["pictures"] == 40
    later = request | {"candidate": str(good_model), "since": START.timestamp() + 1.0}
    assert answered.run(later, lambda _: None, lambda: False)["outcome"] == "unjudged"


def test_what_was_learned_from_judges_nobody(tmp_path: Path) -> None:
    made = street(tmp_path)
    dataset = made.do(*COLLECTING)
    request = {"state_dir": str(made.state), "pictures": dataset["pictures"]}
    known = answered.known_labels(request | {"sets": ["streets"], "frozen_sets": ["held"]})
    held_out = dataset["splits"]["test"]["pictures"]
    assert len(known) == 80 + held_out
