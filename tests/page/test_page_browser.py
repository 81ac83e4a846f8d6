"""The page in a headless Chromium: drawn under its policy, sorted, coloured, narrow, and refreshed by its miner."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from streetvision.page.page import SERVED_POLICY, render_page
from streetvision.page.pictures import Picture
from streetvision.status.redaction import shared

from ..mining.browser import Page, find_browser, open_page
from ..status.worlds import fresh, hostile, retraining, status

pytestmark = pytest.mark.skipif(find_browser() is None, reason="there is no Chromium here")
ONE_PIXEL = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////////"
    "////wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAACf/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AVP/Z"
)
CONSOLE = "window.seen = []; addEventListener('securitypolicyviolation', e => seen.push(e.violatedDirective)); 0"


class Site:
    """A server on loopback that gives the page, each time as of another block."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def page(self) -> bytes:
        found = status()
        found["chain"]["block"] = 7_000_000 + len(self.asked)
        text = render_page(found, [Picture(ONE_PIXEL, 1.795e9, 0.5, 1, 640, 480)])
        assert text.count('data-seconds="20"') == 1
        return text.replace('data-seconds="20"', 'data-seconds="1"').encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split()[1].decode()
        self.asked.append(path)
        body = self.page() if path == "/" else b""
        status_line = "200 OK" if path == "/" else "404 Not Found"
        fields = f"Content-Type: text/html; charset=utf-8\r\nContent-Security-Policy: {SERVED_POLICY}\r\n"
        writer.write(f"HTTP/1.1 {status_line}\r\n{fields}Content-Length: {len(body)}\r\n".encode())
        writer.write(b"Connection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()


@contextmanager
def served(site: Site) -> Iterator[str]:
    """The site's address."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(site.serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def look(page: Page, expression: str) -> Any:
    return page.evaluate(expression)


def test_the_live_page(tmp_path: Path) -> None:
    site = Site()
    with served(site) as url, open_page(str(find_browser()), url, tmp_path) as page:
        page.wait_for("document.querySelectorAll('#validators th button').length === 10", 20)
        look(page, CONSOLE)
        assert look(page, "getComputedStyle(document.querySelector('.tiles')).display") == "grid"
        assert look(page, "document.querySelector('.pictures img').naturalWidth") == 1
        assert look(page, "document.documentElement.scrollWidth <= innerWidth") is True
        _sorts(page)
        _colours(page)
        _refreshes(page)
        assert look(page, "seen.join()") == ""
        assert look(page, "performance.getEntriesByType('resource').every(e => e.name === location.href)") is True
    assert set(site.asked) <= {"/", "/favicon.ico"}


def _sorts(page: Page) -> None:
    column = "[...document.querySelectorAll('#validators tbody tr')].map(r => Number(r.cells[5].dataset.value)).join()"
    button = "document.querySelectorAll('#validators th button')[5]"
    look(page, f"{button}.click()")
    falling = [float(part) for part in look(page, column).split(",")]
    assert falling == sorted(falling, reverse=True)
    assert look(page, f"{button}.parentElement.getAttribute('aria-sort')") == "descending"
    look(page, f"{button}.click()")
    assert [float(part) for part in look(page, column).split(",")] == sorted(falling)


def _colours(page: Page) -> None:
    shown = "getComputedStyle(document.body).backgroundColor"
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
    light = look(page, shown)
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    dark = look(page, shown)
    assert light != dark
    look(page, "document.getElementById('theme-light').click()")
    assert look(page, shown) == light
    look(page, "document.getElementById('theme-auto').click()")
    assert look(page, shown) == dark


def _refreshes(page: Page) -> None:
    """Not while the operator is in it; else it shows the newest and stays sorted."""
    look(page, "document.querySelector('#validators th button').focus()")
    before = look(page, "document.querySelector('.about').textContent")
    assert look(page, "document.querySelector('main').contains(document.activeElement)") is True
    look(page, "document.activeElement.blur()")
    page.wait_for(f"document.querySelector('.about').textContent !== {before!r}", 40)
    assert look(page, "document.querySelectorAll('#validators th[aria-sort]').length") == 1
    assert look(page, "document.querySelectorAll('main').length") == 1


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("found", [status, fresh, hostile, lambda: status(retrain=retraining())])
def test_a_report_as_a_file(tmp_path: Path, found: Any, width: int) -> None:
    file = tmp_path / "report.html"
    file.write_text(render_page(shared(found()), report=True))
    with open_page(str(find_browser()), "about:blank", tmp_path / "profile") as page:
        page.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500
        )
        page.call("Page.navigate", url=file.as_uri())
        page.wait_for("document.readyState === 'complete' && document.querySelector('footer') !== null", 20)
        assert look(page, "document.documentElement.scrollWidth <= innerWidth") is True
        assert look(page, "getComputedStyle(document.querySelector('main section')).display") == "block"
        assert look(page, "document.querySelectorAll('script').length") == 1
        assert look(page, "performance.getEntriesByType('resource').length") == 0
