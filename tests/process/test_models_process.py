"""Changing the model of the real miner process, by the real command, while validators ask all the while."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from streetvision.control.client import SOCKET_NAME, call
from streetvision.errors import OperatorError
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.row import LogFilter
from streetvision.prediction_log.schema import LOG_FOLDER
from streetvision.registry.model_import import Findings
from streetvision.registry.registry import REGISTRY_FOLDER, Registry

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]

Start = Callable[..., Any]
Models = Callable[..., Any]
Variant = Callable[..., Path]


def unexamined(path: Path, *_: object) -> Findings:
    """In place of the registry's examination: as if a version had been sound when it was added."""
    return Findings(224, tuple(float(n) for n in range(16)), None)


@pytest.fixture
def plant(tmp_path: Path, variant: Variant) -> Callable[..., None]:
    """Put a version into the registry whose files and hashes are in order, and whose weights are not."""
    registry = Registry(tmp_path / "state" / REGISTRY_FOLDER, examine=unexamined)

    def put(version: str, spoil: Callable[[dict[str, torch.Tensor]], None]) -> None:
        folder = tmp_path / "spoilt" / version
        shutil.copytree(variant(version), folder)
        weights = load_file(folder / "model.safetensors")
        spoil(weights)
        save_file(weights, folder / "model.safetensors")
        digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        fields = json.loads((folder / "model.json").read_text()) | {"sha256": digest}
        (folder / "model.json").write_text(json.dumps(fields))
        registry.add_folder(folder, source="test")

    return put


def with_nan(weights: dict[str, torch.Tensor]) -> None:
    weights["head.fc.weight"][0, 3] = torch.nan


def without_head(weights: dict[str, torch.Tensor]) -> None:
    del weights["head.fc.weight"]


def with_constant_head(weights: dict[str, torch.Tensor]) -> None:
    weights["head.fc.weight"].zero_()


def of_other_size(weights: dict[str, torch.Tensor]) -> None:
    name = "backbone.patch_embed.proj.weight"
    weights[name] = weights[name][..., :14, :14].clone()


def answers_by_caller(state: Path) -> dict[str, list[str]]:
    """The versions that answered each validator, in the order in which it asked."""
    found: dict[str, list[str]] = {}
    with LogReader(state / LOG_FOLDER) as reader:
        for row in reader.rows(LogFilter()):
            if row.status == 200:
                found.setdefault(str(row.validator), []).append(row.model_version)
    return found


def changes(versions: list[str]) -> list[str]:
    """The versions without repetitions in a row."""
    return [version for place, version in enumerate(versions) if place == 0 or versions[place - 1] != version]


def test_a_swap_in_the_middle_of_a_load(
    serve: Start, add: Callable[..., None], models: Models, load_on: Any, port: int
) -> None:
    add("0.2.0", noise=0.01)
    add("0.3.0", depth=3)
    miner = serve()
    with load_on(port) as load:
        load.wait_for(40)
        code, out, err = models("swap", "0.2.0").end()
        assert (code, out) == (0, "Version 0.2.0 serves; 0.1.0 was taken off.\n"), err
        assert "swap 0.2.0: weights loaded" in err
        load.wait_for(40)
        assert models("swap", "0.3.0", "--json").end()[0] == 0  # another architecture
        load.wait_for(40)
    assert set(load.statuses) == {200}
    shown = models("status").end()
    assert shown[0] == 0
    assert shown[1].startswith("serves   0.3.0 (")
    assert miner.terminate()[0] == 0
    for versions in answers_by_caller(miner.state).values():
        assert changes(versions) == ["0.1.0", "0.2.0", "0.3.0"]

    again = serve()
    assert again.wait_for("model: 0.3.0 serves since")
    assert again.models()["active"]["version"] == "0.3.0"
    assert again.terminate()[0] == 0


def test_what_cannot_serve_never_does_and_the_command_says_why(
    serve: Start, add: Callable[..., None], plant: Any, models: Models, load_on: Any, port: int, tmp_path: Path
) -> None:
    add("0.1.5", constant=True)
    add("0.3.0", noise=0.01)
    for version, spoil in (
        ("0.2.0", with_constant_head),
        ("0.6.0", with_nan),
        ("0.7.0", without_head),
        ("0.8.0", of_other_size),
    ):
        plant(version, spoil)
    registry = tmp_path / "state" / REGISTRY_FOLDER
    weights = registry / "versions" / "0.3.0" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\x00\x00\xc0\x7f")  # the last weight is NaN now
    (registry / "versions" / "0.4.0").mkdir()
    miner = serve()
    with load_on(port) as load:
        for version, says in [
            ("0.1.5", "0.1.5 may not serve: it gives every golden picture the same answer"),
            ("0.2.0", "Version 0.2.0 gives every golden picture the same answer"),
            ("0.3.0", "Model version 0.3.0 is damaged (model.safetensors has changed since the model was added)"),
            ("0.4.0", "0.4.0 may not serve"),
            ("0.5.0", "There is no model version '0.5.0'"),
            ("0.1.0", "There is no model version '0.1.0'"),
            ("../../0.2.0", "There is no model version"),
            ("0.6.0", "holds NaN or infinite values"),
            ("0.7.0", "'head.fc.weight' is missing"),
            ("0.8.0", "3, 14, 14], not ["),
        ]:
            code, out, err = models("swap", version).end()
            assert (code, out) == (1, "")
            assert says in err
            assert "Traceback" not in err
        code, out, err = models("canary", "0.2.0", "--share", "50%").end()
        assert (code, out) == (1, "")
        assert "the same answer" in err
        load.wait_for(10)
    assert set(load.statuses) == {200}
    assert miner.models()["active"]["version"] == "0.1.0"
    assert {v for versions in answers_by_caller(miner.state).values() for v in versions} == {"0.1.0"}
    refused = [line for line in miner.models()["decisions"] if line["event"] == "refused"]
    assert {line["version"] for line in refused} == {"0.2.0", "0.6.0", "0.7.0", "0.8.0"}


def test_kill_in_the_middle_of_a_swap_then_a_restart_is_sane(
    serve: Start, add: Callable[..., None], models: Models, port: int
) -> None:
    add("0.2.0", depth=8, noise=0.01)
    miner = serve()
    swap = models("swap", "0.2.0")
    assert swap.process.stderr is not None
    while "weights loaded" not in swap.process.stderr.readline():
        assert swap.process.poll() is None
    meanwhile = miner.models()
    assert meanwhile["operation"]["name"] == "the swap to 0.2.0"
    assert meanwhile["active"]["version"] == "0.1.0"
    miner.process.send_signal(signal.SIGKILL)
    code, out, err = swap.end()
    assert (code, out) == (1, "")
    assert "error: the miner ended before it had answered" in err
    code, _, err = models("status").end()
    assert code == 1
    assert err.startswith("error: no miner runs with the state folder")

    again = serve()
    assert again.models()["active"]["version"] == "0.1.0"
    assert models("swap", "0.2.0").end()[0] == 0
    assert again.terminate()[0] == 0
    assert not (again.state / SOCKET_NAME).exists()


def test_a_swap_outlives_its_command(serve: Start, add: Callable[..., None], models: Models) -> None:
    add("0.2.0", depth=8, noise=0.01)
    miner = serve()
    swap = models("swap", "0.2.0")
    miner.wait_until(lambda status: status["operation"] is not None)
    with pytest.raises(OperatorError, match=r"Not now: the swap to 0\.2\.0 is running"):
        call(miner.state / SOCKET_NAME, "swap", {"version": "0.3.0"})
    swap.process.send_signal(signal.SIGINT)
    code, _, err = swap.end()
    assert code == 130
    assert "the miner goes on with it" in err
    miner.wait_until(lambda status: status["active"]["version"] == "0.2.0")


def test_a_miner_that_stops_ends_the_swap(serve: Start, add: Callable[..., None], models: Models) -> None:
    add("0.2.0", depth=8, noise=0.01)
    miner = serve()
    swap = models("swap", "0.2.0")
    miner.wait_until(lambda status: status["operation"] is not None)
    code, seconds = miner.terminate()
    assert code == 0
    assert seconds < 15
    code, _, err = swap.end()
    assert code == 1
    assert "the miner is shutting down" in err
    assert serve().models()["active"]["version"] == "0.1.0"


def test_a_second_miner_in_the_state_folder_is_refused(serve: Start, start_miner: Start) -> None:
    miner = serve()
    second = start_miner("--axon.port", "0")
    assert second.exit_code() == 1
    assert "another miner is running in" in second.text
    assert miner.models()["active"]["version"] == "0.1.0"


def test_another_model_in_the_settings_wins_over_the_swap(
    serve: Start, add: Callable[..., None], variant: Variant, models: Models
) -> None:
    add("0.2.0", noise=0.01)
    miner = serve()
    assert models("swap", "0.2.0").end()[0] == 0
    miner.terminate()
    again = serve(model=str(variant("0.9.0", noise=0.02)))
    assert again.models()["active"]["version"] == "0.9.0"
    again.terminate()
