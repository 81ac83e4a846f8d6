"""The fleet's page: a row for each miner, what to do, and nothing that a miner's words could inject."""

from __future__ import annotations

import re

from streetvision.fleet.fleet_file import Fleet
from streetvision.fleet.page import COLUMNS, render_fleet

from ..status.worlds import HOSTILE
from .snapshots import fleet_of


def test_every_miner_has_a_row_that_leads_to_its_page(fleet: Fleet) -> None:
    page = render_fleet(fleet_of(fleet))
    assert re.findall(r'href="(miners/[^"]+)"', page) == ["miners/hot1/", "miners/hot2/", "miners/hot3/"]
    rows = re.findall(r"<tr>(.*?)</tr>", page)
    assert [row.count("</th>") + row.count("</td>") for row in rows] == [len(COLUMNS)] * 4
    assert 'class="state serving">serving<' in rows[1]
    assert 'class="state stopped">down<' in rows[2]
    assert ">1 of 3 serving<" in page


def test_what_to_do_says_why_one_is_down_and_what_others_found(fleet: Fleet) -> None:
    found = fleet_of(fleet)
    found["miners"][2]["findings"] = found["miners"][0]["findings"]
    page = render_fleet(found)
    assert "hot2: killed by SIGKILL; tried again in 3 s" in page
    assert page.count("hot1, hot3: the disk is nearly full") == 1
    assert "Run <code>df</code>." in page


def test_a_fleet_without_trouble_says_so(fleet: Fleet) -> None:
    found = fleet_of(fleet)
    found["miners"] = [found["miners"][0] | {"findings": []}]
    page = render_fleet(found)
    assert "No findings: nothing is wrong" in page


def test_what_others_wrote_stays_text(fleet: Fleet) -> None:
    found = fleet_of(fleet)
    for row in found["miners"]:
        row["why"] = row["model"] = row["ended"] = HOSTILE
        row["findings"] = [{"severity": HOSTILE, "title": HOSTILE, "remedy": HOSTILE}]
    found["file"] = HOSTILE
    page = render_fleet(found)
    assert "<svg" not in page
    assert "\x1b" not in page
    assert page.count("<script>") == 1
