"""How fast a video goes through the model, where the time goes, and whether memory stays flat over hours.

It makes its own H.264 files: a textured grey picture that moves, with grain that repeats every eight frames, encoded
once for some seconds and repeated by copying packets; real streets have less grain and more motion at the same bits.
Two kinds: a keyframe every 250 frames with B-frames, some of them references (x264's defaults, as edited and streamed
video has them), and one every 30 without B-frames (as dash cameras write them). Raises instead of giving a figure when
a scan answers another number of frames than two a second, when the cheaper decoding changes what the model is shown, or
when leaving out what follows a group's last wanted frame changes a pixel or a time of those that are wanted.
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

from streetvision.base.resources import usable_threads
from streetvision.engine.types import ImageArray, Runner
from streetvision.engine.views import Eye
from streetvision.models.folder import bundled_checkpoint
from streetvision.runner.opening import open_runner
from streetvision.video.choosing import SAMPLING
from streetvision.video.decoding import Work
from streetvision.video.groups import grid_point
from streetvision.video.opening import open_video
from streetvision.video.record import Identity, open_record
from streetvision.video.scaling import FrameScaler
from streetvision.video.scanning import scan

FPS = 30
PIECE_S = 10
LARGE, SMALL = (1920, 1080), (320, 180)
KINDS = {
    "keyframes every 250, B-frames": {"preset": "fast", "g": "250", "bf": "3", "b-pyramid": "normal"},
    "keyframes every 30, no B-frames": {"preset": "superfast", "g": "30", "bf": "0"},
}
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
        stream = container.add_stream("libx264", rate=FPS, options=options)
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
    path = folder / f"{size[1]}-{kind.replace(', ', '-').replace(' ', '-')}.mp4"
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


def decoding(video: Path, *, exact: bool, per_second: float | None = None) -> dict[str, float]:
    """To decode it and do nothing else: times real time, and the processor's milliseconds for a second of video."""
    started, busy = time.perf_counter(), time.process_time()
    with open_video(video, exact=exact) as reader:
        for _ in reader.frames(per_second=per_second):
            pass
    took, busy = time.perf_counter() - started, time.process_time() - busy
    return {"x": PIECE_S / took, "cpu_ms": busy / PIECE_S * 1000}


def pictures(video: Path, *, exact: bool, per_second: float | None = None) -> dict[float, ImageArray]:
    """Its frames at a model's size, by time."""
    found: dict[float, ImageArray] = {}
    with open_video(video, exact=exact) as reader:
        scaler, eye = FrameScaler(reader.aspect), Eye(224, "squash")
        for one in reader.frames(per_second=per_second):
            found[one.time] = scaler.model_input(one.frame, eye)
    return found


def due(seen: dict[float, ImageArray]) -> dict[float, ImageArray]:
    """The first at or after each point of the grid."""
    first: dict[int, float] = {}
    for time_ in seen:
        first.setdefault(grid_point(time_, SAMPLING.per_second), time_)
    return {time_: seen[time_] for time_ in first.values()}


def levels_lost(video: Path) -> float:
    """Mean difference, in levels of 255, of what the cheaper decoding shows the model; too large a one ends all."""
    whole, cheaper = pictures(video, exact=True), pictures(video, exact=False)
    wanted, left = due(cheaper), due(pictures(video, exact=False, per_second=SAMPLING.per_second))
    if list(wanted) != list(left) or not all(np.array_equal(wanted[one], left[one]) for one in wanted):
        raise SystemExit("leaving out what follows the last wanted frame of a group changes wanted frames")
    lost = float(np.mean([np.abs(whole[time].astype(int) - seen).mean() for time, seen in cheaper.items()]))
    if lost > MOST_LOST:
        raise SystemExit(f"decoding at reduced cost changes pictures by {lost:.2f} levels")
    return lost


def check(measured: Measured, seconds: float, kind: str) -> None:
    expected = seconds * SAMPLING.per_second
    if abs(measured.frames - expected) > 0.02 * expected + 1:
        raise SystemExit(f"{kind}: {measured.frames} frames were answered, {expected:.0f} expected")


def named(what: str, figures: dict[str, float]) -> Row:
    return {f"{what}_{name}": figure for name, figure in figures.items()}


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
        measured = scanned(video, runner, folder, f"speed-{kind}")
        check(measured, seconds, kind)
        yield {
            **row(f"1080p H.264, {kind}", device, video, seconds, measured),
            **named("decode_wanted", decoding(source, exact=False, per_second=SAMPLING.per_second)),
            **named("decode_alone", decoding(source, exact=False)),
            **named("decode_all", decoding(source, exact=True)),
            "levels_lost": levels_lost(source),
        }
        video.unlink()


def memory_rows(runner: Runner, folder: Path, pieces: Path, hours: float, device: str) -> Iterator[Row]:
    """The same small video a short time and for hours, in this order: a peak never falls."""
    source = kept_piece(pieces, SMALL, 200_000, next(iter(KINDS)))
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
    parser.add_argument("--precision", default="default", help="as the setting MODEL_PRECISION")
    parser.add_argument("--verdicts", type=Path, default=None, help="a folder to keep what a precision's gate found in")
    parser.add_argument("--threads", type=int, default=max(1, usable_threads() // 2), help="the model's, on a CPU")
    parser.add_argument("--pieces", type=Path, default=None, help="a folder to keep the encoded pieces in")
    parser.add_argument("--name", default="video")
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    bucket = 32 if asked.device.startswith("cuda") else 1
    runner = open_runner(
        asked.model or bundled_checkpoint(),
        device=asked.device,
        buckets=(bucket,),
        compile=False,
        threads=asked.threads,
        precision=asked.precision,
        verdicts=asked.verdicts,
    )
    runner.warmup(runner.buckets)
    where = machine()
    with tempfile.TemporaryDirectory(prefix="video-") as scratch:
        folder = Path(scratch)
        pieces = asked.pieces or folder
        title = f"A video through {runner.version}, precision {asked.precision}, frames at 2 a second"
        if asked.minutes:
            rows = list(speed_rows(runner, folder, pieces, asked.minutes, asked.device))
            report(
                asked.name,
                title,
                rows,
                where,
                asked.out,
            )
        if asked.hours:
            rows = list(memory_rows(runner, folder, pieces, asked.hours, asked.device))
            report(f"{asked.name}-memory", f"Memory over hours of video, {runner.version}", rows, where, asked.out)


if __name__ == "__main__":
    main()
