"""Listening sockets: what cannot be had is one sentence."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from streetvision.errors import OperatorError
from streetvision.net import sockets


def test_no_permission_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(self: socket.socket, address: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", deny)
    with pytest.raises(OperatorError, match="No permission"):
        sockets.listen(("127.0.0.1",), 80)


def test_a_machine_without_ipv6_serves_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    make = socket.socket

    def without_ipv6(family: int, kind: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return make(family, kind)

    monkeypatch.setattr(socket, "socket", without_ipv6)
    (bound,) = sockets.listen(("127.0.0.1", "::"), 0)
    bound.close()
