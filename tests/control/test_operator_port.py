"""The operator's port: who may ask, what is answered, and that it is bounded."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from streetvision.base.histogram import Histogram
from streetvision.control.app import Asked, OperatorApp, Response, Site, as_json
from streetvision.control.exposition import OPENMETRICS, PLAIN, Exposition
from streetvision.control.http import CONNECTIONS, HttpServer
from streetvision.errors import OperatorError


async def answer(_: Asked) -> Response:
    return as_json(200, {"fine": True})


async def defect(_: Asked) -> Response:
    raise KeyError("a secret")


SITE = Site({"/": answer, "/dear": answer, "/broken": defect}, frozenset({"/dear"}))


async def ask(
    path: str = "/", method: str = "GET", *, registry: CollectorRegistry | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """One request to the application alone; `host` is localhost unless given."""
    app = OperatorApp(SITE, registry or CollectorRegistry(), ["Grafana.lan"])
    fields = {"host": "localhost:9172"} | {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {
        "type": "http",
        "path": path,
        "method": method,
        "query_string": b"",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in fields.items()],
    }
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("no body is read")

    await app(scope, receive, send)
    head = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], head, sent[1]["body"]


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:9172", "127.0.0.1:9172", "127.0.0.1", "[::1]:9172", "[::1]", "::1", "10.1.2.3:80",
     "grafana.lan:9172", "localhost.:9172"],
)  # fmt: skip
async def test_hosts_that_no_stranger_can_name(host: str) -> None:
    assert (await ask(host=host))[0] == 200


@pytest.mark.parametrize(
    "host",
    ["", "rebound.example", "rebound.example:9172", "127.0.0.1.rebound.example", "localhost.rebound.example", "0x7f.1",
     "2130706433", "[rebound.example]", "127.0.0.1@rebound.example", "grafana.lan.rebound.example", "::1]x"],
)  # fmt: skip
async def test_names_that_a_stranger_may_point_here(host: str) -> None:
    status, _, body = await ask(host=host)
    assert status == 421
    assert b"fine" not in body


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_other_sites_may_only_link_here(site: str) -> None:
    assert (await ask(sec_fetch_site=site, sec_fetch_mode="no-cors"))[0] == 403
    assert (await ask(sec_fetch_site=site, sec_fetch_mode="cors"))[0] == 403
    assert (await ask(sec_fetch_site=site, sec_fetch_mode="navigate"))[0] == 200
    assert (await ask("/dear", sec_fetch_site=site, sec_fetch_mode="navigate"))[0] == 403
    assert (await ask("/dear", sec_fetch_site="same-origin", sec_fetch_mode="cors"))[0] == 200
    assert (await ask("/dear", sec_fetch_site="none", sec_fetch_mode="navigate"))[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT"])
async def test_only_reading(method: str) -> None:
    status, head, _ = await ask(method=method, origin="http://rebound.example", access_control_request_method="GET")
    assert status == 405
    assert head["allow"] == "GET, HEAD"
    assert not any(name.startswith("access-control") for name in head)


async def test_head_is_get_without_a_body() -> None:
    got, asked = await ask(), await ask(method="HEAD")
    assert asked[:2] == got[:2]
    assert (got[2] != b"", asked[2]) == (True, b"")


async def test_headers_keep_browsers_strict() -> None:
    for path in ("/", "/nowhere"):
        _, head, _ = await ask(path)
        assert head["content-security-policy"].startswith("default-src 'none'; frame-ancestors 'none'")
        assert head["x-content-type-options"] == "nosniff"
        assert head["cache-control"] == "no-store"


async def test_a_defect_is_a_500_without_details() -> None:
    status, _, body = await ask("/broken")
    assert status == 500
    assert b"secret" not in body


async def test_unknown_paths_share_one_label() -> None:
    registry = CollectorRegistry()
    assert (await ask("/a" * 50, registry=registry))[0] == 404
    assert registry.get_sample_value("streetvision_http_requests_total", {"path": "other", "status": "404"}) == 1


class TestExposition:
    def registry(self) -> CollectorRegistry:
        registry = CollectorRegistry()
        Counter("things", "Things", ["kind"], registry=registry).labels('a "b"\n').inc()
        Histogram("seconds", "Seconds", buckets=(1, 2), registry=registry).observe(1.5)
        return registry

    async def test_both_formats_parse_and_agree(self) -> None:
        exposition = Exposition(self.registry())
        kind, text = await exposition.render("")
        assert kind == PLAIN
        plain = {(s.name, tuple(s.labels.items())): s.value for f in parse_plain(text.decode()) for s in f.samples}
        kind, text = await exposition.render("application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
        assert kind == OPENMETRICS
        families = parse_openmetrics(text.decode())  # type: ignore[no-untyped-call]  # the library's omission
        assert plain == {(s.name, tuple(s.labels.items())): s.value for f in families for s in f.samples}
        assert plain["things_total", (("kind", 'a "b"\n'),)] == 1

    async def test_many_scrapes_are_rendered_once_a_second(self) -> None:
        now = 0.0
        registry = self.registry()
        exposition = Exposition(registry, clock=lambda: now)
        texts = await asyncio.gather(*(exposition.render("") for _ in range(20)))
        Counter("later", "Later", registry=registry)
        assert await exposition.render("") == texts[0] == texts[-1]
        now = 1.1
        assert b"later" in (await exposition.render(""))[1]

    async def test_the_loop_turns_between_families(self) -> None:
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        registry = CollectorRegistry()
        for number in range(50):
            Counter(f"c{number}", "C", registry=registry)
        turning = asyncio.create_task(turn())
        await Exposition(registry).render("")
        turning.cancel()
        assert turns >= 50


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    server = HttpServer(SITE, CollectorRegistry(), address="127.0.0.1", port=0)
    await server.start()
    yield server
    await server.close()
    await server.close()


def fetch(port: int, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, "/", body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def raw(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(data)
        return connection.recv(65536)


class TestServer:
    async def test_it_answers(self, server: HttpServer) -> None:
        assert server.port is not None
        status, body = await asyncio.to_thread(fetch, server.port)
        assert (status, json.loads(body)) == (200, {"fine": True})
        assert (await asyncio.to_thread(fetch, server.port, "HEAD"))[1] == b""
        assert (await asyncio.to_thread(fetch, server.port, "POST", b"x" * 1000))[0] == 405

    async def test_heads_are_bounded(self, server: HttpServer) -> None:
        assert server.port is not None
        huge = b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 20_000 + b"\r\n\r\n"
        assert b" 431 " in await asyncio.to_thread(raw, server.port, huge)
        assert b" 400 " in await asyncio.to_thread(raw, server.port, b"\x16\x03\x01 nonsense\r\n\r\n")
        assert b" 421 " in await asyncio.to_thread(raw, server.port, b"GET / HTTP/1.0\r\n\r\n")

    async def test_connections_are_bounded(self, server: HttpServer) -> None:
        assert server.port is not None
        silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(CONNECTIONS + 10)]
        assert (await asyncio.to_thread(fetch, server.port))[0] == 200
        ended = await asyncio.gather(*(asyncio.wait_for(self.ends(reader), 5) for reader, _ in silent[:10]))
        assert all(ended)
        for _, writer in silent:
            writer.close()

    async def test_who_waits_for_an_answer_is_not_crowded_out(self) -> None:
        begun, go = asyncio.Event(), asyncio.Event()

        async def slow(_: Asked) -> Response:
            begun.set()
            await go.wait()
            return as_json(200, {})

        server = HttpServer(Site({"/": slow}), CollectorRegistry(), address="127.0.0.1", port=0)
        await server.start()
        assert server.port is not None
        waiting = asyncio.create_task(asyncio.to_thread(fetch, server.port))
        await asyncio.wait_for(begun.wait(), 5)
        crowd = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(CONNECTIONS + 10)]
        go.set()
        assert (await waiting)[0] == 200
        for _, writer in crowd:
            writer.close()
        await server.close()

    @staticmethod
    async def ends(reader: asyncio.StreamReader) -> bool:
        try:
            return await reader.read() == b""
        except ConnectionResetError:
            return True

    async def test_a_taken_port_names_the_setting(self, server: HttpServer) -> None:
        assert server.port is not None
        other = HttpServer(SITE, CollectorRegistry(), address="127.0.0.1", port=server.port)
        with pytest.raises(OperatorError, match=r"choose another --metrics\.port"):
            await other.start()
        await other.close()

    async def test_a_foreign_address_names_the_setting(self) -> None:
        other = HttpServer(SITE, CollectorRegistry(), address="192.0.2.7", port=0)
        with pytest.raises(OperatorError, match=r"set --metrics\.address"):
            await other.start()
