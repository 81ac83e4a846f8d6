"""How fast a video goes through the model, where the time goes, and whether memory stays flat over hours.

It makes its own H.264 files: a textured picture that moves, with grain, encoded once for some seconds and repeated by
copying packets. Two kinds: with B-frames (as edited and streamed video has them; they need not be decoded) and without
(as dash cameras write them; every frame has to be). Raises instead of giving a figure when a scan answers another
number of frames than two a second, or when the cheaper decoding changes what the model is shown.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from decode import photo_like
from harness import RESULTS, Row, machine, report

from streetvision.engine.types import ImageArray, Runner
from streetvision.engine.views import Eye
from streetvision.models.folder import bundled_checkpoint
from streetvision.runner.opening import open_runner
from streetvision.video.choosing import SAMPLING
from streetvision.video.decoding import Work
from streetvision.video.reading import open_video
from streetvision.video.record import Identity, open_record
from streetvision.video.scaling import FrameScaler
from streetvision.video.scanning import scan

FPS = 30
PIECE_S = 5
LARGE, SMALL = (1920, 1080), (320, 180)
KINDS = {"with B-frames": {"bf": "3", "b-pyramid": "none"}, "without B-frames": {"bf": "0"}}
GRAIN = 2.0
MOST_LOST = 0.3


@dataclass(frozen=True)
class Measured:
    """One scan."""

    seconds: float
    cpu_s: float
    """Processor time, of all threads."""
    work: Work
    frames: int


def piece(path: Path, size: tuple[int, int], bits: int, options: dict[str, str]) -> None:
    """Some seconds of H.264."""
    width, height = size
    light = np.asarray(photo_like((width * 3 // 2, height * 5 // 4)).convert("L"))
    grain = np.random.default_rng(72).normal(0.0, GRAIN, (8, height, width)).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "superfast", "g": "60", **options})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", bits
        for place in range(PIECE_S * FPS):
            top, left = place * height // (8 * FPS * PIECE_S), place * width // (2 * FPS * PIECE_S)
            luma = light[top : top + height, left : left + width] + grain[place % 8]
            planes = np.full((height * 3 // 2, width), 128, np.uint8)
            planes[:height] = luma.clip(0, 255)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def kept_piece(folder: Path, size: tuple[int, int], bits: int, kind: str) -> Path:
    """The same, made once a folder."""
    path = folder / f"{size[1]}-{kind.replace(' ', '-')}.mp4"
    if not path.exists():
        piece(path, size, bits, KINDS[kind])
    return path


def repeated(source: Path, path: Path, times: int) -> Path:
    """The piece that often, without encoding anew."""
    with av.open(str(path), "w") as out:
        target, end = None, 0
        for _ in range(times):
            with av.open(str(source)) as container:
                stream = container.streams.video[0]
                target = target or out.add_stream_from_template(stream)
                last = end
                for packet in container.demux(stream):
                    if packet.dts is None:
                        continue
                    packet.pts, packet.dts = (packet.pts or 0) + last, packet.dts + last
                    end = max(end, packet.pts + (packet.duration or 0))
                    packet.stream = target
                    out.mux(packet)
    return path


def scanned(video: Path, runner: Runner, folder: Path, name: str) -> Measured:
    work, started, busy = Work(), time.perf_counter(), time.process_time()
    with open_record(folder / f"{name}.sqlite") as record, open_video(video) as reader:
        record.begin(Identity(name, 1, "1"), {"model": runner.version})
        scan(reader, runner, record, work=work)
        seconds, cpu_s = time.perf_counter() - started, time.process_time() - busy
        return Measured(seconds, cpu_s, work, record.count())


def decoding(video: Path, *, exact: bool) -> float:
    """Seconds to decode it and do nothing else."""
    started = time.perf_counter()
    with open_video(video, exact=exact) as reader:
        for _ in reader.frames():
            pass
    return time.perf_counter() - started


def pictures(video: Path, *, exact: bool) -> dict[float, ImageArray]:
    """Its frames at a model's size, by time."""
    with open_video(video, exact=exact) as reader:
        scaler, eye = FrameScaler(reader.aspect), Eye(224, "squash")
        return {one.time: scaler.model_input(one.frame, eye) for one in reader.frames()}


def levels_lost(video: Path) -> float:
    """Mean difference, in levels of 255, of what the cheaper decoding shows the model; too large a one ends all."""
    whole, cheaper = pictures(video, exact=True), pictures(video, exact=False)
    lost = float(np.mean([np.abs(whole[time].astype(int) - seen).mean() for time, seen in cheaper.items()]))
    if lost > MOST_LOST:
        raise SystemExit(f"decoding at reduced cost changes pictures by {lost:.2f} levels")
    return lost


def check(measured: Measured, seconds: float, kind: str) -> None:
    expected = seconds * SAMPLING.per_second
    if abs(measured.frames - expected) > 0.02 * expected + 1:
        raise SystemExit(f"{kind}: {measured.frames} frames were answered, {expected:.0f} expected")


def resident_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def row(what: str, device: str, video: Path, seconds: float, measured: Measured) -> Row:
    """The parts run side by side: the longest of them is the limit."""
    return {
        "what": what,
        "device": device,
        "video_s": seconds,
        "mbit_s": video.stat().st_size * 8 / seconds / 1e6,
        "scan_s": measured.seconds,
        "times_real_time": seconds / measured.seconds,
        "cpu_s": measured.cpu_s,
        "decoding_s": measured.work.decoding,
        "choosing_s": measured.work.choosing,
        "model_s": measured.work.model,
        "frames": measured.frames,
        "peak_mib": resident_mib(),
    }


def speed_rows(runner: Runner, folder: Path, pieces: Path, minutes: float, device: str) -> Iterator[Row]:
    for kind in KINDS:
        source = kept_piece(pieces, LARGE, 10_000_000, kind)
        video = repeated(source, folder / "long.mp4", round(minutes * 60 / PIECE_S))
        seconds = round(minutes * 60 / PIECE_S) * PIECE_S
        measured = scanned(video, runner, folder, kind.replace(" ", "-"))
        check(measured, seconds, kind)
        yield {
            **row(f"1080p H.264, {kind}", device, video, seconds, measured),
            "decode_alone_x": PIECE_S / decoding(source, exact=False),
            "decode_all_x": PIECE_S / decoding(source, exact=True),
            "levels_lost": levels_lost(source),
        }
        video.unlink()


def memory_rows(runner: Runner, folder: Path, pieces: Path, hours: float, device: str) -> Iterator[Row]:
    """The same small video a short time and for hours, in this order: a peak never falls."""
    source = kept_piece(pieces, SMALL, 200_000, "with B-frames")
    for minutes in (10.0, hours * 60.0):
        video = repeated(source, folder / "long.mp4", round(minutes * 60 / PIECE_S))
        measured = scanned(video, runner, folder, f"memory-{minutes:.0f}")
        seconds = round(minutes * 60 / PIECE_S) * PIECE_S
        check(measured, seconds, "memory")
        yield row(f"180p H.264, {minutes / 60:.2g} h", device, video, seconds, measured)
        video.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="0: leave speed out")
    parser.add_argument("--hours", type=float, default=4.0, help="0: leave memory out")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", type=Path, default=None, help="a checkpoint; default: the bundled model")
    parser.add_argument("--pieces", type=Path, default=None, help="a folder to keep the encoded pieces in")
    parser.add_argument("--name", default="video")
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    bucket = 32 if asked.device.startswith("cuda") else 1
    runner = open_runner(asked.model or bundled_checkpoint(), device=asked.device, buckets=(bucket,), compile=False)
    runner.warmup(runner.buckets)
    where = machine()
    with tempfile.TemporaryDirectory(prefix="video-") as scratch:
        folder = Path(scratch)
        pieces = asked.pieces or folder
        if asked.minutes:
            rows = list(speed_rows(runner, folder, pieces, asked.minutes, asked.device))
            report(asked.name, f"A video through {runner.version}, frames at 2 a second", rows, where, asked.out)
        if asked.hours:
            rows = list(memory_rows(runner, folder, pieces, asked.hours, asked.device))
            report(f"{asked.name}-memory", f"Memory over hours of video, {runner.version}", rows, where, asked.out)


if __name__ == "__main__":
    main()
