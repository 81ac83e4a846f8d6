"""`streetvision video`: scanning, listing, exporting, asking, searching."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streetvision.base.state_folder import only_one
from streetvision.cli import video as video_command
from streetvision.cli.video_twelvelabs import WORK
from streetvision.net import bedrock
from streetvision.video.prompted import prompts
from streetvision.video.record import VIDEOS, open_record

from ..conftest import Command
from ..video.test_twelvelabs import SETTINGS, Stub, body, pegasus_says
from ..video.videos import BRIGHT, DARK, Brightness, levels, write_video


@pytest.fixture
def run(state: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command, with a model that takes bright pictures for roadwork."""
    monkeypatch.setattr(video_command, "_runner", lambda *_: Brightness())
    write_video(state / "a.mp4", levels((DARK, 5.0), (BRIGHT, 5.0), (DARK, 5.0)))
    return command


def test_a_video_gives_segments_a_page_and_a_record(run: Command, state: Path) -> None:
    code, out, err = run("video", "a.mp4", "--json", "--samples")
    fields = json.loads(out)
    assert code == 0
    assert [(round(one["start"]), round(one["end"])) for one in fields["segments"]] == [(5, 10)]
    assert len(fields["samples"]) == fields["frames"]
    (page,) = (state / VIDEOS).glob("*.html")
    assert str(page) in err
    assert "<svg" in page.read_text()
    code, out, _ = run("video", "list", "--json")
    listed = json.loads(out)
    assert (code, listed["segments"], listed["complete"]) == (0, 1, True)


def test_scanning_again_needs_no_model(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run("video", "scan", "a.mp4")
    monkeypatch.setattr(video_command, "_runner", lambda *_: pytest.fail("a complete scan asks no model"))
    assert run("video", "scan", "a.mp4") == first


def test_another_way_of_sampling_begins_anew(run: Command) -> None:
    frames = [json.loads(run("video", "a.mp4", "--per_second", rate, "--json")[1])["frames"] for rate in ("2", "4")]
    assert frames[1] > 1.5 * frames[0]


def test_a_folder_goes_on_after_a_broken_file(run: Command, state: Path) -> None:
    (state / "b.mp4").write_bytes(b"no video" * 99)
    (state / "notes.txt").write_text("hello")
    code, out, err = run("video", ".", "--json")
    assert code == 1
    assert json.loads(out)["video"].endswith("a.mp4")
    assert "b.mp4 is no video" in err
    assert "2 videos, 1 other files left alone" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["video", "none.mp4"], "there is no such file: none.mp4"),
        (["video", "empty"], "holds no file with the name of a video"),
        (["video", "a.mp4", "--pages", "none"], "none is no folder"),
        (["video", "a.mp4", "--model", "9.9.9"], "9.9.9"),
        (["video", "export", "a.mp4", "--to", "out"], "was not scanned to its end"),
        (["video", "export", "a.mp4", "--to", "out", "--label", "maybe"], "--label is roadwork or none"),
        (["video", "export", "a.mp4", "--to", "out", "--segments", "x"], "--segments takes numbers"),
        (["video", "ask", "a.mp4"], "VIDEO_TWELVELABS=true"),
        (["video", "search", "cones"], "VIDEO_TWELVELABS=true"),
    ],
)
def test_slips_are_one_sentence(arguments: list[str], told: str, run: Command, state: Path) -> None:
    (state / "empty").mkdir()
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert told in err
    assert len(err.strip().splitlines()) == 1


def test_a_missing_extra_is_named(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_command, "find_spec", lambda _: None)
    assert "streetvision[video]" in run("video", "a.mp4")[2]


def test_ctrl_c_keeps_what_was_answered(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streetvision.video.decoding.BATCH", 8)
    whole = json.loads(run("video", "a.mp4", "--json")[1])
    run("video", "a.mp4", "--per_second", "1")
    monkeypatch.setattr(video_command, "_runner", lambda *_: Brightness(dies_after=16))
    code, _, err = run("video", "a.mp4")
    assert code == 130
    assert "run the same command again" in err
    monkeypatch.setattr(video_command, "_runner", lambda *_: Brightness())
    assert json.loads(run("video", "a.mp4", "--json")[1])["segments"] == whole["segments"]


def test_another_precision_asks_the_model_again(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Brightness()
    run("video", "a.mp4")
    monkeypatch.setattr(video_command, "_runner", lambda *_: asked)
    run("video", "a.mp4")
    assert asked.seen == 0
    monkeypatch.setenv("MODEL_PRECISION", "bf16")
    run("video", "a.mp4")
    assert asked.seen > 20


@pytest.mark.parametrize(("asked", "threads"), [("0", 4), ("3", 3)])
def test_the_model_leaves_threads_to_the_decoder(
    asked: str, threads: int, command: Command, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: dict[str, Any] = {}

    def opened(folder: Path, **options: Any) -> Brightness:
        heard.update(options)
        return Brightness()

    write_video(state / "a.mp4", levels((DARK, 1.0)))
    monkeypatch.setattr("streetvision.runner.opening.open_runner", opened)
    monkeypatch.setattr("streetvision.base.resources.usable_threads", lambda *_, **__: 8)
    monkeypatch.setenv("MODEL_THREADS", asked)
    assert command("video", "a.mp4", "--device", "cpu")[0] == 0
    assert (heard["threads"], heard["precision"]) == (threads, "default")
    assert heard["verdicts"].name == "precision"


def test_frames_are_exported_for_a_dataset(run: Command, state: Path) -> None:
    run("video", "a.mp4")
    code, out, _ = run("video", "export", "a.mp4", "--to", "out", "--outside", "2", "--json")
    fields = json.loads(out)
    assert code == 0
    assert len((state / "out" / "made.jsonl").read_text().splitlines()) == fields["written"] >= 5
    assert run("data", "add", "made:out", "--name", "drive")[0] == 0


def test_a_file_that_changed_has_to_be_scanned_again(run: Command, state: Path) -> None:
    run("video", "a.mp4")
    write_video(state / "a.mp4", levels((DARK, 3.0)))
    assert "has changed since it was scanned" in run("video", "export", "a.mp4", "--to", "out")[2]


@pytest.fixture
def stub(run: Command, state: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    made = Stub(state)
    monkeypatch.setenv("VIDEO_TWELVELABS", "true")
    monkeypatch.setattr(bedrock, "open_bedrock", lambda *_: made.account.bedrock)
    run("video", "a.mp4")
    with made.stubber:
        yield made


def test_nothing_is_sent_without_a_yes(run: Command, stub: Stub) -> None:
    code, _, err = run("video", "ask", "a.mp4")
    assert code == 1
    assert "1 clips go to us.twelvelabs.pegasus-1-5-v1:0: at most $0.00" in err
    assert "nothing was sent" in err
    assert stub.sent == []
    assert stub.account.spending.of_the_month() == 0.0


def test_an_opinion_stands_beside_the_segment(run: Command, stub: Stub, state: Path) -> None:
    stub.answers(SETTINGS.pegasus, pegasus_says())
    code, out, _ = run("video", "ask", "a.mp4", "--yes")
    assert code == 0
    assert "Pegasus says roadwork (90% sure): Cones on the lane." in out
    assert run("video", "ask", "a.mp4")[1] == out  # paid for already, so nothing is asked
    assert len(stub.sent) == 1
    assert "Second opinion" in next((state / VIDEOS).glob("*.html")).read_text()


def test_calls_that_were_lost_are_a_failure_and_are_asked_again(run: Command, stub: Stub) -> None:
    stub.answers(SETTINGS.pegasus, pegasus_says(message="I think so"))
    code, out, err = run("video", "ask", "a.mp4", "--yes")
    assert code == 1
    assert "1 segment with roadwork" in out
    assert "1 of 1 clips got no answer: the same command asks about them again, and pays again" in err
    stub.answers(SETTINGS.pegasus, pegasus_says())
    assert run("video", "ask", "a.mp4", "--yes")[0] == 0


def test_marengo_is_another_judge_beside_pegasus(run: Command, stub: Stub) -> None:
    code, _, err = run("video", "ask", "a.mp4", "--judge", "marengo")
    assert (code, "frames go to twelvelabs.marengo-embed-3-0-v1:0: at most $" in err) == (1, True)
    frames = int(err.partition(" frames go")[0].split()[-1])
    for _ in range(frames):
        stub.answers(SETTINGS.marengo, body(data=[{"embedding": [1.0, 0.1]}]))
    for side, texts in prompts().items():
        for _ in texts:
            stub.answers(SETTINGS.marengo, body(data=[{"embedding": [1.0, 0.0] if side == "for" else [0.0, 1.0]}]))
    code, out, _ = run("video", "ask", "a.mp4", "--judge", "marengo", "--yes")
    assert (code, "Marengo says roadwork: nearer to" in out) == (0, True)
    stub.answers(SETTINGS.pegasus, pegasus_says())
    code, out, _ = run("video", "ask", "a.mp4", "--yes", "--json")
    said = json.loads(out)["segments"][0]["opinions"]
    assert [one["model"] for one in said] == [SETTINGS.marengo, SETTINGS.pegasus]
    assert "--judge is pegasus or marengo" in run("video", "ask", "a.mp4", "--judge", "me")[2]


def test_words_find_a_place(run: Command, stub: Stub, state: Path) -> None:
    assert "no video is embedded yet" in run("video", "search", "cones", "--yes")[2]
    for place in range(3):
        stub.answers(SETTINGS.marengo, body(data=[{"embedding": list(np.eye(4)[place])}]))
    stub.answers(SETTINGS.marengo, body(data=[{"embedding": [0.1, 0.9, 0.0, 0.0]}]))
    code, out, err = run(
        "video", "search", "orange cones", "--in", "a.mp4", "--every", "6", "-k", "1", "--yes", "--json"
    )
    hit = json.loads(out)
    assert (code, hit["video"], round(hit["time"])) == (0, str((state / "a.mp4").resolve()), 6)
    assert "3 frames and one search" in err
    assert stub.sent[-1] == {"inputType": "text", "text": {"inputText": "orange cones"}}


def test_a_picture_finds_a_place(run: Command, stub: Stub, state: Path) -> None:
    from PIL import Image

    Image.new("RGB", (64, 64), (250, 120, 0)).save(state / "cone.png")
    for _ in range(4):
        stub.answers(SETTINGS.marengo, body(data=[{"embedding": [1.0, 0.0]}]))
    code, out, _ = run("video", "search", "--picture", "cone.png", "--in", "a.mp4", "--every", "6", "--yes")
    assert code == 0
    assert out.startswith("1.000")
    assert stub.sent[-1]["inputType"] == "image"
    assert "search by words or by --picture" in run("video", "search")[2]


def test_a_record_that_was_killed_at_birth_is_passed_over(
    run: Command, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("video", "a.mp4")
    with open_record(state / VIDEOS / "b.sqlite"):
        pass
    code, out, _ = run("video", "list")
    assert (code, len(out.splitlines())) == (0, 1)
    monkeypatch.setenv("VIDEO_TWELVELABS", "true")
    code, _, err = run("video", "search", "cones")
    assert (code, "no video is embedded yet" in err) == (1, True)


@pytest.mark.parametrize(("name", "told"), [("", "a name is empty"), ("~nobody-here/a.mp4", "home of a user")])
def test_odd_names_are_told(name: str, told: str, run: Command) -> None:
    code, _, err = run("video", name)
    assert (code, told in err) == (1, True)


def test_two_do_not_pay_at_once(run: Command, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEO_TWELVELABS", "true")
    with only_one(state / VIDEOS, WORK):
        for rest in (("ask", "a.mp4"), ("search", "cones")):
            code, _, err = run("video", *rest)
            assert (code, "another video-twelvelabs is running" in err) == (1, True)


def test_a_damaged_record_is_told_with_its_remedy(run: Command, state: Path) -> None:
    run("video", "a.mp4")
    (record,) = (state / VIDEOS).glob("*.sqlite")
    record.write_bytes(b"rubbish" * 999)
    code, _, err = run("video", "a.mp4")
    assert code == 1
    assert f"the record {record}: it is damaged: delete it and scan the video again" in err
