"""The oracle of the settings in a run: the week's stream is labelled, measured, and learned from alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_oracle import MODEL, FakeOracle, serving
from PIL import Image
from prometheus_client import CollectorRegistry

from streetvision.axon.records import RequestRecord, StageTimings
from streetvision.axon.wire import Dialect
from streetvision.engine.types import Prediction, Timings
from streetvision.labelling.asking import ask_all
from streetvision.labelling.pictures import named_pictures
from streetvision.labelling.shots import make_prompt
from streetvision.labelling.store import asking_store
from streetvision.prediction_log.schema import LOG_FOLDER
from streetvision.prediction_log.store import PredictionLog
from streetvision.prediction_log.upkeep import Limits
from streetvision.retrain.steps.labelling import UNMEASURED, recent
from streetvision.retrain.steps.more import LABELLED
from streetvision.retrain_log.records import StepName
from streetvision.settings.oracle import OracleSettings
from streetvision.settings.retrain import RetrainSettings
from streetvision.sources.listed import ListedDataset

from .fakes import START
from .streets import Street, draw, store_set


def looks(data: bytes) -> Mapping[str, Any]:
    """An oracle that takes orange for roadwork."""
    with Image.open(BytesIO(data)) as image:
        red, _, blue = np.asarray(image.convert("RGB")).reshape(-1, 3).mean(axis=0)
    return {"objects": [], "reason": "", "roadwork": bool(red > blue + 40), "certainty": 0.97}


def write_log(folder: Path, pictures: Path) -> None:
    """As a miner that answered them this hour, and another a fortnight ago."""
    log = PredictionLog(folder, CollectorRegistry(), limits=Limits(max_days=1e6))
    log.start()
    hour, fortnight = (START - timedelta(hours=1)).timestamp(), (START - timedelta(days=14)).timestamp()
    for number, path in enumerate(sorted(pictures.rglob("*.png"))):
        log(record(path.read_bytes(), hour + number if number else fortnight))
    log.close(10.0)


def record(image: bytes, arrival: float) -> RequestRecord:
    answer = Prediction(0.5, 0.0, np.zeros(4, np.float32), "one", 1, 1, 64, 64, Timings(0.001, 0.001, 0.001))
    return RequestRecord(
        dialect=Dialect.LEGACY,
        hotkey="5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
        uid=3,
        stake=1.0,
        authenticated=True,
        status=200,
        reason="ok",
        image=image,
        prediction=answer,
        arrival=arrival,
        headroom=4.0,
        stages=StageTimings(0.0001, 0.001, 0.006, 0.0002),
        remote="127.0.0.1",
    )


@pytest.fixture
def server() -> Iterator[FakeOracle]:
    with serving(says=looks) as one:
        yield one


@pytest.fixture
def made(tmp_path: Path, server: FakeOracle) -> Street:
    one = Street(tmp_path / "state", RetrainSettings(datasets="streets", frozen="held", mine=False))
    store_set(one.state, "streets", draw(tmp_path / "streets", range(40)))
    store_set(one.state, "held", draw(tmp_path / "held", range(1000, 1010)))
    write_log(one.state / LOG_FOLDER, draw(tmp_path / "stream", range(2000, 2010)))
    priced = {"input_price": 1000.0, "price_date": "2026-11-30", "month_money": 1000.0}
    one.oracle = OracleSettings(url=server.url, model=MODEL, crops=0, retrain_pictures=8, **priced)  # type: ignore[arg-type]
    return one


def measured(made: Street) -> None:
    """Ask about pictures that people labelled."""
    with asking_store(made.state) as store:
        pictures = list(named_pictures("streets", made.state))
        ask_all(made.oracle, make_prompt(made.oracle, made.state), store, pictures)


def test_the_newest_pictures_of_the_week_without_a_persons_label_are_asked_about(made: Street) -> None:
    now = made.time.now()
    every = recent(replace(made.settings, oracle=replace(made.oracle, retrain_pictures=100)), now)
    assert len(every) == 9
    assert recent(made.settings, now) == every[:8]
    training = made.state / "training" / "v0001"
    training.mkdir(parents=True)
    (training / "labels.jsonl").write_text(json.dumps({"sha256": every[0].sha256, "label": "none"}) + "\n")
    assert recent(made.settings, now) == every[1:]


def test_a_measured_oracle_teaches(made: Street, server: FakeOracle) -> None:
    measured(made)
    made.do(StepName.COLLECT)
    output = made.do(StepName.LABEL)
    assert output == {"set": LABELLED, "pictures": 8, "why": f"by the oracle {MODEL}"}
    assert made.store.spent(run=made.run.id).money == pytest.approx(8.0)
    listed = ListedDataset(Path(str(made.do(StepName.SYNTHESISE, StepName.DATASET)["pictures"]))).examples()
    taught = [one for one in listed if one.source.startswith("oracle:")]
    assert {one.split for one in taught} == {"train"}
    assert all(0.5 < one.weight < 0.8 for one in taught)
    asked = server.charged.total()
    assert made.do(StepName.LABEL)["pictures"] == 0
    assert server.charged.total() == asked


def test_an_oracle_that_nobody_compared_teaches_nothing(made: Street, server: FakeOracle) -> None:
    made.do(StepName.COLLECT)
    assert made.do(StepName.LABEL) == {"set": "", "pictures": 0, "why": f"the oracle {MODEL} gave none"}
    assert server.charged.total() == 8
    assert UNMEASURED in [one.get("why") for one in made.events]


def test_a_night_is_not_lost_because_the_oracle_is(made: Street) -> None:
    measured(made)
    made.oracle = replace(made.oracle, url="http://127.0.0.1:9/v1", concurrency=1)
    made.do(StepName.COLLECT)
    assert made.do(StepName.LABEL)["set"] == ""
    assert "connection refused" in json.dumps(made.events)


def test_nobody_is_asked_unless_pictures_are_wanted(made: Street) -> None:
    made.oracle = replace(made.oracle, retrain_pictures=0)
    made.do(StepName.COLLECT)
    assert made.do(StepName.LABEL)["why"] == "no oracle is configured"
