"""Videos in an S3 bucket: copied to this machine while they are scanned. Needs the extra `s3` (boto3)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from streetvision.base.wording import gib
from streetvision.errors import OperatorError, reason
from streetvision.prediction_log.s3 import S3Destination
from streetvision.video.finding import S3, SUFFIXES, Found
from streetvision.video.reading import VideoError
from streetvision.video.record import Identity

SPARE = 2**30
"""Bytes that a copy must leave free on the disk."""


@dataclass(frozen=True, slots=True)
class S3Video:
    """One object."""

    bucket: str
    key: str
    identity: Identity
    scratch: Path

    @contextmanager
    def local(self) -> Iterator[Path]:
        """A copy that goes when it was used; OperatorError where there is no room or the bucket refuses."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.scratch).free
        if self.identity.size + SPARE > free:
            raise OperatorError(
                f"{self.identity.uri} takes {gib(self.identity.size)} and {gib(free)} are free: make room."
            )
        try:
            folder = tempfile.TemporaryDirectory(prefix="video-", dir=self.scratch)
        except OSError as error:
            raise OperatorError(f"{self.scratch} cannot be written ({reason(error)}): correct its rights.") from error
        with folder, closing(S3Destination(self.bucket, "")) as bucket:
            path = Path(folder.name) / (Path(self.key).name or "video")
            bucket.fetch(self.key, path)
            yield path


def find_objects(text: str, scratch: Path) -> Found:
    """The object of that address, or all videos under a prefix that ends in `/`; VideoError or OperatorError."""
    bucket, _, key = text.removeprefix(S3).partition("/")
    with closing(S3Destination(bucket, "")) as opened:
        if key and not key.endswith("/"):
            size, stamp = opened.facts(key)
            return Found([_video(bucket, key, size, stamp, scratch)])
        listed = [(name, *facts) for name, facts in opened.listed(key).items() if not name.endswith("/")]
    videos = [one for one in listed if Path(one[0]).suffix.lower() in SUFFIXES]
    if not videos:
        raise VideoError(f"{text} holds no object with the name of a video, such as .mp4.")
    return Found([_video(bucket, *one, scratch) for one in sorted(videos)], len(listed) - len(videos))


def _video(bucket: str, key: str, size: int, stamp: str, scratch: Path) -> S3Video:
    return S3Video(bucket, key, Identity(f"{S3}{bucket}/{key}", size, stamp), scratch)
