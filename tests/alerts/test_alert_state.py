"""alerts.json keeps its form: what an earlier version wrote is read whole and written again letter by letter."""

from __future__ import annotations

import json
from pathlib import Path

from streetvision.alerts.alert import Change
from streetvision.alerts.state import FILE, AlertStore, read_alerts
from streetvision.monitor.finding import Severity

RECOVERED = """{"change": "recovered", "code": "disk_low", "severity": "warning", "title": "1 GiB left", "evidence": [],
 "remedy": "Free space.", "began": 1790000000.0, "at": 1790000400.0, "subject": ""}"""
WRITTEN = f"""{{"whose": ["5Hotkey", 72], "format": 1, "tracked": {{
 "deregistered": {{"code": "deregistered", "subject": "", "severity": "critical", "title": "the hotkey has no UID",
 "evidence": ["It was lost.", "It cost 0.1 TAO."], "remedy": "Register again.", "began": 1789999940.0,
 "present_since": 1790000000.0, "critical_since": 1790000000.0, "gone_since": null, "eased_since": null,
 "announced": "critical", "told_at": 1790000060.0, "calmed_at": null, "flaps": 0}},
 "validator_silent:5Abc": {{"code": "validator_silent", "subject": "5Abc", "severity": "warning",
 "title": "validator 5Abc does not ask", "evidence": ["Since 12:00."], "remedy": "Ask it.", "began": 1790000000.0,
 "present_since": 1790000000.0, "critical_since": null, "gone_since": null, "eased_since": null,
 "announced": "warning", "told_at": 1790000300.0, "calmed_at": null, "flaps": 0}},
 "disk_low": {{"code": "disk_low", "subject": "", "severity": "warning", "title": "1 GiB left", "evidence": [],
 "remedy": "Free space.", "began": 1790000000.0, "present_since": 1790000000.0, "critical_since": null,
 "gone_since": 1790000400.0, "eased_since": null, "announced": null, "told_at": 1790000700.0,
 "calmed_at": 1790000700.0, "flaps": 2}}}},
 "stepped_at": 1790001180.0, "sent": [1790000060.0, 1790000300.0], "events": [
 {{"change": "raised", "code": "validator_silent", "severity": "warning", "title": "validator 5Abc does not ask",
 "evidence": ["Since 12:00."], "remedy": "Ask it.", "began": 1790000000.0, "at": 1790000300.0, "subject": "5Abc"}},
 {RECOVERED}], "digest_day": "2026-09-20", "waiting": {{"webhook": [{{"kind": "alert", "at": 1790000700.0,
 "miner": "mine", "hotkey": "5Hotkey", "netuid": 72, "severity": "info",
 "title": "mine: recovered after 7 min: 1 GiB left", "items": [{RECOVERED}], "more": 0, "figures": []}}]}}}}"""


def test_a_file_of_before_is_read_and_written_again_as_it_was(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(WRITTEN)
    store = AlertStore(tmp_path, "5Hotkey", 72)
    store.save(*store.load())
    assert (tmp_path / FILE).read_text() == json.dumps(json.loads(WRITTEN))


def test_its_findings_are_whole(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(WRITTEN)
    state, waiting = read_alerts(tmp_path / FILE)
    lost, silent = state.active
    assert (lost.finding.code, lost.announced, lost.began) == ("deregistered", Severity.CRITICAL, 1789999940.0)
    assert lost.finding.evidence == ("It was lost.", "It cost 0.1 TAO.")
    assert {key: tracked.finding.key for key, tracked in state.tracked.items()} == {key: key for key in state.tracked}
    assert silent.finding.subject == "5Abc"
    assert (state.tracked["disk_low"].flaps, state.events[1].change) == (2, Change.RECOVERED)
    assert waiting["webhook"][0].items[0].headline == "recovered after 7 min: 1 GiB left"
