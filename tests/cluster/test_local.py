"""Ray on this machine, as far as it can be seen without one."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from streetvision.cluster import local
from streetvision.cluster.local import LocalRay, connect
from streetvision.errors import OperatorError


@pytest.fixture
def taken() -> Iterator[int]:
    """A port at which somebody else listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield int(other.getsockname()[1])


def test_without_ray_one_sentence_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "find_spec", lambda _: None)
    with pytest.raises(OperatorError, match=r"pip install 'streetvision\[ray\]'"):
        LocalRay(tmp_path).up()


def test_a_port_that_is_taken_is_told_of(tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "find_spec", lambda _: True)
    with pytest.raises(OperatorError, match=f"port {taken} is taken"):
        LocalRay(tmp_path, host="127.0.0.1", port=taken).up()


def test_a_head_that_another_process_begins_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr(local, "find_spec", lambda _: True)
    monkeypatch.setattr(local, "HEAD_WORDS", b"python")
    monkeypatch.setattr(local, "_listens", lambda host, port: len(looks) > 2)
    (tmp_path / "head.pid").write_text(str(os.getpid()))
    assert LocalRay(tmp_path).up(sleep=lambda _: looks.append(1)) is False
    assert len(looks) == 3
    assert (tmp_path / "head.pid").read_text() == str(os.getpid()), "no second head was begun"


@pytest.mark.parametrize("text", ["", "no number", "999999999"])
def test_without_a_process_nothing_is_stopped(tmp_path: Path, text: str) -> None:
    (tmp_path / "head.pid").write_text(text)
    assert LocalRay(tmp_path).down() is False


def test_a_process_that_is_not_rays_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of a head that has ended may be another process's by now."""
    monkeypatch.setattr(local, "HEAD_WORDS", b"no such program")
    (tmp_path / "head.pid").write_text(str(os.getpid()))
    assert LocalRay(tmp_path).pid is None


def test_a_wrong_address_is_found_in_no_time() -> None:
    pytest.importorskip("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ConnectionError, match="nothing listens"):
        connect(f"127.0.0.1:{port}")
