"""`streetvision data` as an operator types it: data on stdout, sentences on stderr, exit codes, a killed command."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from streetvision.cli.data_progress import rates
from streetvision.cli.data_reports import check_report
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.network import build, tiny_config
from streetvision.sources.adding import AddReport
from streetvision.sources.checking import CheckReport, Doubt
from streetvision.sources.hub import ROADWORK

from ..hub.conftest import environment, server
from ..hub.fake_hub import FakeHub
from ..sources.pictures import class_folders, jpeg
from ..sources.test_hub import packed, row

__all__ = ["environment", "server"]

COMMAND = (sys.executable, "-c", "from streetvision.cli.main import main; main()", "data")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, command: Run, tmp_path: Path) -> Run:
    """Run `streetvision data ...` in an empty folder; exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREETVISION_STATE_DIR", str(tmp_path / "state"))
    return partial(command, "data")


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_from_a_folder_to_a_dataset_and_away_again(run: Run, tmp_path: Path) -> None:
    class_folders(tmp_path / "set", 20)
    (tmp_path / "set" / "none" / "broken.jpg").write_bytes(b"broken")
    code, out, _ = run("add", "set", "--name", "streets", "--licence", "CC0-1.0", "--json")
    added, dataset = lines(out)
    assert (code, added["new"], added["complete"]) == (0, 40, True)
    assert added["unusable"] == {"the image is not a JPEG, PNG or WebP file": 1}
    assert (dataset["pictures"], dataset["licences"], dataset["warnings"]) == (40, {"CC0-1.0": 40}, [])
    code, out, _ = run("list")
    assert (code, out.split()[:4]) == (0, ["streets", "40", "pictures", "20"])
    code, out, _ = run("stats", "streets")
    assert "1 unusable: the image is not a JPEG" in out
    assert run("rm", "streets")[1] == "removed streets\n"
    assert (run("list")[1], list((tmp_path / "state" / "datasets").glob("[!.]*"))) == ("", [])
    assert (tmp_path / "set" / "none" / "0.jpg").is_file()


def test_what_stands_in_the_way_of_a_model_is_told(run: Run, tmp_path: Path) -> None:
    for number in range(3):
        path = tmp_path / "set" / "roadwork" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(number))
    code, _, err = run("add", "set", "--name", "streets", "--limit", "2")
    assert code == 0
    assert "No picture is labelled none: nothing can be learned from one class" in err
    assert "The licence of 2 pictures is unknown" in err
    assert "Not read to the end: folder:" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["add", "roadwerk", "--name", "a"], "did you mean roadwork?"),
        (["add", "scenes:0-1", "--name", "A B"], "is no name for a dataset"),
        (["stats", "gone"], "There is no dataset 'gone': add one with"),
        (["rm", "../../etc"], "is no name for a dataset"),
        (["check", "gone"], "There is no dataset"),
    ],
)
def test_bad_input_is_one_sentence(run: Run, tmp_path: Path, arguments: list[str], says: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert says in err
    assert not (tmp_path / "state" / "datasets").exists()


@pytest.mark.parametrize("text", ["file,lable\n", "file,label,label\n"])
def test_a_failed_first_reading_leaves_no_dataset(run: Run, tmp_path: Path, text: str) -> None:
    class_folders(tmp_path / "set")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "manifest.csv").write_text(text)
    code, out, err = run("add", "bad", "--name", "streets")
    assert (code, out) == (1, "")
    assert "manifest.csv has " in err
    assert not list((tmp_path / "state" / "datasets").glob("[!.]*"))
    assert run("add", "set", "--name", "streets")[0] == 0
    assert run("add", "bad", "--name", "streets")[0] == 1
    assert "8 pictures" in run("stats", "streets")[1]


def test_words_from_outside_steer_no_terminal(run: Run, tmp_path: Path) -> None:
    class_folders(tmp_path / "set")
    rows = "roadwork/0.jpg,1,\x1b]0;own\x07\nnone/0.jpg,0,\x1b[31mfree\u2028\n"
    (tmp_path / "set" / "manifest.csv").write_text(f"file,label,licence\n{rows}")
    code, out, err = run("add", "set", "--name", "streets")
    assert code == 0
    assert not {"\x1b", "\x07", "\u2028"} & {*out, *err}
    assert r"licence: \x1b[31mfree" in out
    code, _, err = run("add", "folder:\x1b[31mgone", "--name", "streets")
    assert code == 1
    assert "\x1b" not in err


def test_check_doubts_labels_by_a_model(run: Run, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = replace(tiny_config(name="mine", version="1.2.0", depth=1, width=64), input_size=32)
    save_checkpoint(tmp_path / "model", config, build(config).state_dict())
    class_folders(tmp_path / "set", 12)
    model = ("--model", str(tmp_path / "model"), "--device", "cpu")
    assert run("add", "set", "--name", "streets", *model)[0] == 0
    code, out, _ = run("check", "streets", *model, "--json")
    *doubts, report = lines(out)
    assert (code, report["pictures"], report["problems"], report["model"]) == (0, 24, [], "1.2.0")
    assert report["doubts"] == len(doubts)
    next((tmp_path / "state").rglob("*.jpg")).write_bytes(b"changed")
    code, out, _ = run("check", "streets", *model)
    assert code == 1
    assert "its content has changed" in out


def test_a_doubt_tells_the_label_and_how_sure_the_probe_is_of_the_other() -> None:
    doubts = (Doubt("ab" * 32, "works 7", "p.jpg", label=True, contrary=0.91),)
    text = check_report(CheckReport(30, (), (), (), "bundled", 0.97, doubts), doubts)
    assert text.endswith("\n  labelled roadwork, P(none) 0.91  abababababab  works 7")


def test_progress_tells_rates() -> None:
    report = AddReport("roadwork", read=300, bytes=90_000_000, unusable={"broken": 2})
    assert rates(report, 10.0) == "300 pictures, 30/s, 9.0 MB/s, 2 unusable"
    assert rates(AddReport("roadwork"), 0.0) == "0 pictures, 0/s, 0.0 MB/s"


def three_files() -> dict[str, bytes]:
    rows = [row(n, n % 2) for n in range(120)]
    return {f"data/{part}.parquet": packed(rows[40 * part : 40 * part + 40], group=5) for part in range(3)}


def started(environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [*COMMAND, "add", "roadwork", "--name", "streets"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def await_third_file(server: FakeHub) -> None:
    limit = time.monotonic() + 60
    while not any("data/2.parquet" in path for path in server.paths("GET")):
        assert time.monotonic() < limit
        time.sleep(0.02)
    time.sleep(0.2)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_command_is_gone_on_with_by_the_same_one(
    server: FakeHub, environment: dict[str, str], sent: signal.Signals, tmp_path: Path
) -> None:
    server.dataset(ROADWORK, three_files())
    server.fail("data/2.parquet", times=99, hang=30.0)
    process = started(environment)
    await_third_file(server)
    process.send_signal(sent)
    server.faults.clear()
    out, err = process.communicate(timeout=60)
    assert process.returncode == (-9 if sent == signal.SIGKILL else 130)
    assert ("run the same command again" in err) == (sent != signal.SIGKILL)
    server.requests.clear()
    second = started(environment)
    out, err = second.communicate(timeout=60)
    assert (second.returncode, err.count("error")) == (0, 0), err
    assert "120 pictures" in out
    assert not any("data/0.parquet" in path for path in server.paths("GET"))
    files = [path for path in (tmp_path / "state").rglob("*") if path.suffix == ".jpg"]
    assert len(files) == 120
