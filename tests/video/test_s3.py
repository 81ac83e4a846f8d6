"""Videos in a bucket, through the real client against an S3 server on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streetvision.errors import OperatorError
from streetvision.video.finding import find
from streetvision.video.reading import VideoError

BUCKET = "drives"


@pytest.fixture
def bucket(s3_client: Any, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_server)
    s3_client.create_bucket(Bucket=BUCKET)
    return s3_client


def test_an_object_is_copied_for_as_long_as_it_is_read(bucket: Any, tmp_path: Path) -> None:
    bucket.put_object(Bucket=BUCKET, Key="north/a.mp4", Body=b"film")
    (video,) = find(f"s3://{BUCKET}/north/a.mp4", tmp_path / "scratch").videos
    before = video.identity
    assert (before.uri, before.size) == (f"s3://{BUCKET}/north/a.mp4", 4)
    with video.local() as path:
        assert path.read_bytes() == b"film"
        assert path.suffix == ".mp4"
    assert list((tmp_path / "scratch").iterdir()) == []
    bucket.put_object(Bucket=BUCKET, Key="north/a.mp4", Body=b"FILM")
    (after,) = find(f"s3://{BUCKET}/north/a.mp4", tmp_path).videos
    assert after.identity.stamp != before.stamp
    assert after.identity.name == before.name


def test_a_prefix_gives_its_videos(bucket: Any, tmp_path: Path) -> None:
    for key in ("south/2.mkv", "south/deep/1.MP4", "south/notes.txt", "south/", "southern.mp4"):
        bucket.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    found = find(f"s3://{BUCKET}/south/", tmp_path)
    assert [video.identity.uri for video in found.videos] == [
        f"s3://{BUCKET}/south/2.mkv",
        f"s3://{BUCKET}/south/deep/1.MP4",
    ]
    assert found.others == 1


def test_what_is_not_there_is_a_sentence(bucket: Any, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"no object none\.mp4"):
        find(f"s3://{BUCKET}/none.mp4", tmp_path)
    with pytest.raises(VideoError, match="holds no object"):
        find(f"s3://{BUCKET}/empty/", tmp_path)
    with pytest.raises(OperatorError, match="no bucket"):
        find("s3://nowhere/a.mp4", tmp_path)
    with pytest.raises(OperatorError, match="names a bucket"):
        find("s3://", tmp_path)
