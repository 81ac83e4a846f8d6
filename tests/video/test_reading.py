"""Files are opened, or one sentence says why not."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from streetvision.engine.views import Eye
from streetvision.video import opening
from streetvision.video.clock import Position
from streetvision.video.opening import open_video
from streetvision.video.reading import VideoError
from streetvision.video.scaling import FrameScaler

from .videos import BRIGHT, DARK, levels, picture, write_video


def refused(path: Path) -> str:
    with pytest.raises(VideoError) as told, open_video(path):
        pass
    return str(told.value)


def test_what_is_no_video_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("hello " * 100)
    (tmp_path / "empty.mp4").touch()
    with wave.open(str(tmp_path / "a.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(b"\0\0" * 800)
    assert "is no video" in refused(tmp_path / "text.mp4")
    assert refused(tmp_path / "empty.mp4").endswith("is empty.")
    assert "there is no such file" in refused(tmp_path / "none.mp4")
    assert "holds no video, only audio" in refused(tmp_path / "a.wav")
    assert "cannot be read" in refused(tmp_path)


def test_a_recording_without_its_index_is_told_of(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", levels((DARK, 2.0)))
    video.write_bytes(video.read_bytes()[:-1500])
    assert "lacks the index at its end" in refused(video)


def test_huge_frames_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = write_video(tmp_path / "a.mp4", levels((DARK, 1.0)))
    monkeypatch.setattr(opening, "MAX_PIXELS", 1000)
    assert "frames of 64x48 pixels" in refused(video)


@pytest.mark.parametrize(("turned", "corner"), [(None, (0, 0)), (90, (-1, 0)), (-90, (0, -1)), (180, (-1, -1))])
def test_frames_are_upright(turned: float | None, corner: tuple[int, int], tmp_path: Path) -> None:
    first = np.zeros((48, 64, 3), np.uint8)
    first[:24, :32] = 250
    with open_video(write_video(tmp_path / "a.mp4", [first] * 5, rotation=turned)) as reader:
        frame = next(reader.frames()).frame
        shown = FrameScaler(reader.aspect).picture(frame)
        small = FrameScaler(reader.aspect).model_input(frame, Eye(16, "squash"))
    assert shown.shape == ((64, 48, 3) if turned in (90, -90) else (48, 64, 3))
    assert shown[corner].min() > 200
    assert small[corner].min() > 200
    assert np.mean(shown > 125) == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("rule", ["squash", "crop"])
def test_the_model_sees_what_it_would_see_of_a_picture(rule: str, tmp_path: Path) -> None:
    made = np.asarray(Image.fromarray(picture(120, 3, (160, 80))))
    with open_video(write_video(tmp_path / "a.mkv", [made], codec="ffv1", pixels="bgr0")) as reader:
        seen = FrameScaler().model_input(next(reader.frames()).frame, Eye(32, rule))  # type: ignore[arg-type]
    box = (0, 0, 160, 80) if rule == "squash" else (40, 0, 120, 80)
    expected = Image.fromarray(made).resize((32, 32), Image.Resampling.BICUBIC, box=box)
    assert np.abs(seen.astype(int) - np.asarray(expected)).mean() < 2.0


def test_reading_goes_on_after_a_place(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", levels((DARK, 4.0), (BRIGHT, 4.0)))
    with open_video(video) as reader:
        times = [decoded.time for decoded in reader.frames()]
    for searchable in (True, False):
        with open_video(video) as reader:
            rest = [decoded.time for decoded in reader.frames(Position(times[30], searchable))]
        assert rest == times[31:]


def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        sound = container.add_stream("pcm_s16le", rate=8000)
        sound.layout = "mono"
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.rate = 8000
        container.mux(cover.encode(av.VideoFrame.from_ndarray(picture(DARK, 1), format="rgb24")))
        container.mux(cover.encode())
        container.mux(sound.encode(frame))
    if any(one.disposition & av.stream.Disposition.attached_pic for one in av.open(str(tmp_path / "a.mkv")).streams):
        assert "holds no video" in refused(tmp_path / "a.mkv")
