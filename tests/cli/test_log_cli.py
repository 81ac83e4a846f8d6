"""`streetvision log` and `streetvision replay`: what operators type, and what they read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from streetvision.cli.main import commands
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.network import build, tiny_config
from streetvision.scenes.challenges import challenge

from ..conftest import Logbook

Run = Callable[..., tuple[int, str, str]]
ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
BOB = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
FLAGS = ("--device", "cpu", "--no-compile")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, command: Run, logbook: Logbook, tmp_path: Path) -> Run:
    """Run the command beside this test's log; exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREETVISION_STATE_DIR", str(logbook.state))
    return command


@pytest.fixture
def filled(logbook: Logbook) -> Logbook:
    """Answers 0.1 to 0.9 by two models for two validators, and a refusal."""
    logbook.write(
        *(
            logbook.record(
                bytes([n]),
                logbook.answer(n / 10, model="1.0.0" if n < 6 else "2.0.0"),
                hotkey=BOB if n % 2 else ALICE,
                uid=1 if n % 2 else 7,
            )
            for n in range(1, 10)
        ),
        logbook.record(b"refused"),
    )
    return logbook


def ids(out: str) -> list[int]:
    return [json.loads(line)["id"] for line in out.splitlines()]


def test_tail_prints_the_newest_rows_in_80_columns(run: Run, filled: Logbook) -> None:
    code, out, err = run("log", "tail", "-n", "3")
    assert (code, err) == (0, "")
    header, *rows = out.splitlines()
    assert header.split() == ["ID", "TIME", "CALLER", "MODEL", "ANSWER", "PIXELS", "MS", "LEFT"]
    assert [int(row.split()[0]) for row in rows] == [8, 9, 10]
    assert "UID 1   2.0.0    0.900 roadwork     640x480     10   4.5" in rows[1]
    assert "503 overloaded" in rows[2]
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ((), list(range(1, 11))),
        (("--model", "2.0.0"), [6, 7, 8, 9]),
        (("--validator", "7"), [2, 4, 6, 8]),
        (("--validator", BOB), [1, 3, 5, 7, 9]),
        (("--min-score", "0.45", "--max-score", "0.75"), [5, 6, 7]),
        (("--status", "503"), [10]),
        (("--status", "200", "--max-score", "0.25"), [1, 2]),
        (("--since", "2026-09-22T00:00:00+00:00"), []),
        (("--until", "2026-09-21"), []),
        (("-n", "2"), [9, 10]),
        (("-n", "0"), []),
    ],
)
def test_filters(run: Run, filled: Logbook, filters: tuple[str, ...], expected: list[int]) -> None:
    code, out, _ = run("log", "tail", "--json", *filters)
    assert (code, ids(out)) == (0, expected)


def test_time_filters_count_back_from_now(run: Run, logbook: Logbook) -> None:
    for age in (7200, 1800, 0):
        logbook.moment = time.time() - age - 1
        logbook.write(logbook.record(b"x", logbook.answer(0.5)))
    assert ids(run("log", "tail", "--json", "--since", "1h")[1]) == [2, 3]
    assert ids(run("log", "tail", "--json", "--since", "1d", "--until", "1h30m")[1]) == [1]


def test_rows_as_json_have_every_field(run: Run, filled: Logbook) -> None:
    row = json.loads(run("log", "tail", "--json", "-n", "2")[1].splitlines()[0])
    assert (row["uid"], row["probability"], row["model_version"], row["image"]) == (1, 0.9, "2.0.0", "stored")
    assert row["time"].startswith("2026-09-21T14:")
    assert "embedding" not in row


def test_no_row_is_said_on_stderr(run: Run, filled: Logbook) -> None:
    assert run("log", "tail", "--validator", "99") == (0, "", "no row passes these filters\n")


@pytest.mark.parametrize(
    "arguments", [("log", "tail"), ("log", "stats"), ("log", "show", "1"), ("log", "export", "out"), ("replay", *FLAGS)]
)
def test_without_a_log_there_is_a_sentence(run: Run, logbook: Logbook, arguments: tuple[str, ...]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith(f"error: there is no prediction log in {logbook.folder}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        (("--since", "yesterday"), "'yesterday' is no time: give an age"),
        (("--since", "1h", "--until", "2h"), "--since 1h is not before --until 2h"),
        (("--validator", "bob"), "'bob' is neither a UID nor a hotkey"),
        (("--min-score", "0.9", "--max-score", "0.1"), "--min_score 0.9 is above --max_score 0.1"),
    ],
)
def test_filters_that_make_no_sense(run: Run, filled: Logbook, filters: tuple[str, ...], says: str) -> None:
    code, out, err = run("log", "tail", *filters)
    assert (code, out) == (1, "")
    assert says in err
    assert err.count("\n") == 1


def test_the_state_folder_may_be_named(
    run: Run, filled: Logbook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("STREETVISION_STATE_DIR")
    for flag in ("--state-dir", "--state_dir"):
        assert len(run("log", "tail", "--json", flag, str(filled.state))[1].splitlines()) == 10
    (tmp_path / "miner.env").write_text(f"STREETVISION_STATE_DIR={filled.state}\n")
    assert len(run("log", "tail", "--json")[1].splitlines()) == 10


def test_show_prints_every_field_and_the_image(run: Run, filled: Logbook) -> None:
    code, out, _ = run("log", "show", "9")
    fields = dict(line.split(None, 1) for line in out.splitlines())
    assert code == 0
    assert fields["answer"] == "0.900 roadwork"
    assert fields["validator"] == f"{BOB} (UID 1)"
    assert Path(fields["image"]).read_bytes() == bytes([9])
    assert fields["embedding"] == "8 numbers (float16)"
    row = json.loads(run("log", "show", "9", "--json")[1])
    assert len(row["embedding"]) == 8
    assert row["image_path"] == fields["image"]
    Path(fields["image"]).unlink()
    assert "gone: the log says stored" in run("log", "show", "9")[1]
    assert json.loads(run("log", "show", "9", "--json")[1])["image_path"] is None


def test_show_of_a_refusal_and_of_nothing(run: Run, filled: Logbook) -> None:
    out = run("log", "show", "10")[1]
    assert "503 overloaded" in out
    assert "probability  -" in out
    assert run("log", "show", "11") == (1, "", "error: there is no row 11; the newest is 10\n")


def test_stats_in_80_columns_and_as_json(run: Run, filled: Logbook) -> None:
    code, out, _ = run("log", "stats")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert out.startswith("10 requests: 9 answered, 1 refused\n")
    assert "0.10-0.15 ████" in out
    assert "10 images kept" in out
    figures = json.loads(run("log", "stats", "--json", "--model", "2.0.0")[1])
    assert (figures["rows"], figures["answered"], sum(figures["scores"])) == (4, 4, 4)
    assert figures["by_model"] == {"2.0.0": 4}
    assert figures["latency"]["inference"]["p50"] == pytest.approx(0.004)
    assert figures["first"].startswith("2026-09-21T14:")


def test_stats_of_nothing(run: Run, filled: Logbook) -> None:
    code, out, _ = run("log", "stats", "--validator", "99")
    assert code == 0
    assert out.startswith("0 requests: 0 answered, 0 refused\n")


def test_export_into_a_folder(run: Run, filled: Logbook, tmp_path: Path) -> None:
    code, out, err = run("log", "export", "out", "--format", "jsonl", "--images", "--min-score", "0.65")
    assert (code, err) == (0, "")
    assert out.startswith("3 rows in out/predictions.jsonl")
    assert "3 images" in out
    lines = (tmp_path / "out" / "predictions.jsonl").read_text()
    assert ids(lines) == [7, 8, 9]
    code, out, err = run("log", "export", "out", "--format", "jsonl")
    assert (code, out, err) == (
        1,
        "",
        "error: out holds an export already: name another place or add --overwrite\n",
    )
    code, out, _ = run("log", "export", "out", "--format", "jsonl", "--overwrite", "--json")
    assert json.loads(out)["rows"] == 10


def test_follow_prints_new_rows_until_interrupted(filled: Logbook, tmp_path: Path) -> None:
    program = "from streetvision.cli.main import main; main()"
    command = [sys.executable, "-c", program, "log", "tail", "-f", "-n", "1", "--json", "--status", "200"]
    environment = {**os.environ, "STREETVISION_STATE_DIR": str(filled.state)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["id"] == 9
            filled.write(filled.record(b"refused"), filled.record(b"new", filled.answer(0.7)))
            assert json.loads(process.stdout.readline())["id"] == 12
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
            assert (process.returncode, out, err) == (0, "", "")
        finally:
            process.kill()


@pytest.fixture
def checkpoints(tmp_path: Path) -> tuple[Path, Path]:
    """Two versions that disagree."""
    folders = []
    for seed, version in enumerate(("1.0.0", "2.0.0")):
        torch.manual_seed(seed)
        config = replace(tiny_config(depth=1), version=version)
        net = build(config)
        with torch.no_grad():
            net.head.fc.weight.normal_(std=0.1)
        save_checkpoint(tmp_path / version, config, net.state_dict())
        folders.append(tmp_path / version)
    return folders[0], folders[1]


@pytest.fixture
def answered(logbook: Logbook, run: Run, checkpoints: tuple[Path, Path], tmp_path: Path) -> Logbook:
    """A log of what the first version answered to six challenges."""
    pictures = []
    for seed in range(6):
        pictures.append(tmp_path / f"{seed}.jpg")
        pictures[-1].write_bytes(challenge(seed, native=False).jpeg)
    out = run("predict", *map(str, pictures), "--model", str(checkpoints[0]), "--device", "cpu", "--json")[1]
    for picture, line in zip(pictures, out.splitlines(), strict=True):
        logbook.write(logbook.record(picture.read_bytes(), logbook.answer(json.loads(line)["probability"])))
    return logbook


def test_replay_of_the_same_version_reproduces_the_log(
    run: Run, answered: Logbook, checkpoints: tuple[Path, Path]
) -> None:
    code, out, _ = run("replay", "--model", str(checkpoints[0]), *FLAGS, "--check")
    assert code == 0
    assert "model 1.0.0 on cpu: 6 logged requests answered again" in out
    assert "reproduced: none is further away than 1e-05" in out


def test_replay_of_another_version_compares(run: Run, answered: Logbook, checkpoints: tuple[Path, Path]) -> None:
    answered.image_of(2).unlink()
    code, out, _ = run("replay", "--model", str(checkpoints[1]), *FLAGS)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "without an image, so left out: 1 (1 gone)" in out
    assert "1.0.0 -> 2.0.0: 5 answers" in out
    assert run("replay", "--model", str(checkpoints[1]), *FLAGS, "--check")[0] == 1
    code, out, _ = run("replay", "--model", str(checkpoints[1]), *FLAGS, "--json", "--limit", "3")
    *answers, summary = [json.loads(line) for line in out.splitlines()]
    assert [answer["id"] for answer in answers] == [4, 5, 6]
    assert {answer["kind"] for answer in answers} == {"answer"}
    assert summary["kind"] == "summary"
    assert summary["changes"][0]["rows"] == 3
    assert answers[0]["shift"] == pytest.approx(answers[0]["new"] - answers[0]["old"])


def test_replay_of_nothing_is_a_sentence(run: Run, answered: Logbook, checkpoints: tuple[Path, Path]) -> None:
    code, out, err = run("replay", "--model", str(checkpoints[0]), *FLAGS, "--logged-model", "9.9.9")
    assert (code, out) == (1, "")
    assert err.endswith("error: nothing was replayed: no answered row passes the filters\n")


def test_replay_without_a_checkpoint_is_a_sentence(run: Run, answered: Logbook, tmp_path: Path) -> None:
    code, out, err = run("replay", "--model", str(tmp_path / "nothing"), *FLAGS)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_the_command_starts_without_heavy_packages() -> None:
    heavy = "{'torch', 'bittensor', 'timm', 'fiftyone', 'boto3', 'pyarrow'}"
    program = f"import sys, streetvision.cli.main; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_option_is_in_the_manual() -> None:
    page = (Path(__file__).parents[2] / "docs" / "log.md").read_text()
    root = commands()
    group = root.commands["log"]
    for command in (*group.commands.values(), root.commands["replay"]):
        assert str(command.name) in page
        for parameter in command.params:
            named = [option for option in (*parameter.opts, *parameter.secondary_opts) if option.startswith("--")]
            assert not named or any(f"{option}`" in page or f"{option} " in page for option in named), named
