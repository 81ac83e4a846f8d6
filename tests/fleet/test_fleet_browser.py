"""The fleet's page in a headless Chromium: drawn under its policy, sorted, narrow enough for a telephone."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streetvision.fleet.fleet_file import Fleet
from streetvision.fleet.page import render_fleet
from streetvision.page.page import SERVED_POLICY

from ..mining.browser import find_browser, open_page
from .snapshots import fleet_of

pytestmark = pytest.mark.skipif(find_browser() is None, reason="there is no Chromium here")
WATCH = "window.seen = []; addEventListener('securitypolicyviolation', e => seen.push(e.violatedDirective)); 0"


@contextmanager
def served(page: str) -> Iterator[str]:
    """The page's address on loopback."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Security-Policy", SERVED_POLICY)
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("width", [400, 1400])
def test_it_is_drawn_and_sorted_by_its_own_script_alone(fleet: Fleet, tmp_path: Path, width: int) -> None:
    browser = str(find_browser())
    with (
        served(render_fleet(fleet_of(fleet))) as url,
        open_page(browser, url, tmp_path, size=(width, 900)) as page,
    ):
        page.wait_for("document.querySelectorAll('#miners th button').length === 13", 20)
        page.evaluate(WATCH)
        assert page.evaluate("getComputedStyle(document.querySelector('.tiles')).display") == "grid"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth") is True
        page.evaluate("document.querySelectorAll('#miners th button')[10].click()")
        names = "[...document.querySelectorAll('#miners tbody a')].map(link => link.textContent).join()"
        assert page.evaluate(names) == "hot2,hot3,hot1", "by restarts, the most first"
        assert page.evaluate("seen.join()") == ""
