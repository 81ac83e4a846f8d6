"""What scripts/grafana asks for exists: expressions parse, and docs/metrics.md has their metrics and labels."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from streetvision.settings.upkeep import METRICS_PORT

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "scripts" / "grafana"
DASHBOARD = json.loads((FOLDER / "dashboards" / "streetvision.json").read_text())
RULES = yaml.safe_load((FOLDER / "rules.yml").read_text())
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|")
ALWAYS = {"instance", "job"}
AGGREGATES = {"sum", "max", "min", "avg", "count"}
FUNCTIONS = {"rate": 1, "increase": 1, "changes": 1, "histogram_quantile": 2, "time": 0, "absent": 1}
TOKEN = re.compile(
    r"""\s*(?:(?P<string>"[^"]*")|(?P<duration>\d+[smhd])|(?P<number>\d+(?:\.\d+)?)|(?P<name>[a-zA-Z_]\w*)"""
    r"""|(?P<sign>=~|!~|!=|==|<=|>=|[-+*/<>=(){}\[\],]))"""
)
BINARY = {"+", "-", "*", "/", "<", ">", "<=", ">=", "==", "!=", "and", "or", "unless"}


def documented() -> dict[str, set[str]]:
    """Labels by the names that can be asked for: a histogram has three."""
    names = {"up": set(ALWAYS)}
    pages = [(ROOT / "docs" / page).read_text() for page in ("metrics.md", "fleet.md")]
    for line in (line for page in pages for line in page.splitlines()):
        if row := ROW.match(line):
            labels = set(re.findall(r"`(\w+)`", row[3])) | ALWAYS
            if row[2] == "histogram":
                names |= {f"{row[1]}_bucket": labels | {"le"}, f"{row[1]}_sum": labels, f"{row[1]}_count": labels}
            else:
                names[row[1]] = labels
    return names


KNOWN = documented()


class Parser:
    """As much of PromQL as these files use; `used` are the metrics that an expression names."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        self.used: set[str] = set()
        place = 0
        while text[place:].strip():
            found = TOKEN.match(text, place)
            assert found is not None, f"not PromQL from here: {text[place:]}"
            self.tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            place = found.end()

    def whole(self) -> set[str]:
        self.expression()
        assert not self.tokens, f"left over: {self.tokens}"
        return self.used

    def peek(self) -> str:
        return self.tokens[0][1] if self.tokens else ""

    def take(self, *wanted: str) -> str:
        assert self.tokens, f"it ends where one of {wanted} should be"
        _, value = self.tokens.pop(0)
        assert not wanted or value in wanted, f"{value} where one of {wanted} should be"
        return value

    def kind(self, wanted: str) -> str:
        assert self.tokens, f"it ends where a {wanted} should be"
        kind, value = self.tokens.pop(0)
        assert kind == wanted, f"{value} is no {wanted}"
        return value

    def expression(self) -> None:
        self.operand()
        while self.peek() in BINARY:
            self.take()
            if self.peek() in ("on", "ignoring"):
                self.take()
                self.labels()
            self.operand()

    def operand(self) -> None:
        if self.peek() == "(":
            self.take("(")
            self.expression()
            self.take(")")
        elif self.tokens and self.tokens[0][0] == "number":
            self.take()
        else:
            self.named(self.kind("name"))

    def named(self, name: str) -> None:
        if name in AGGREGATES:
            if self.peek() == "by":
                self.take()
                self.labels()
            self.arguments(1)
        elif self.peek() == "(":
            assert name in FUNCTIONS, f"{name} is no function"
            self.arguments(FUNCTIONS[name], ranged=name in ("rate", "increase", "changes"))
        else:
            self.selector(name)

    def arguments(self, count: int, *, ranged: bool = False) -> None:
        self.take("(")
        for number in range(count):
            if number:
                self.take(",")
            self.expression()
            if ranged:
                assert self.ranged, "a range is missing"
        self.take(")")

    def labels(self) -> None:
        self.take("(")
        known = set().union(*KNOWN.values())
        while True:
            label = self.kind("name")
            assert label in known, f"no metric has the label {label}"
            if self.take(",", ")") == ")":
                return

    def selector(self, metric: str) -> None:
        assert metric in KNOWN, f"there is no metric {metric}"
        self.used.add(metric)
        self.ranged = False
        if self.peek() == "{":
            self.take("{")
            while self.peek() != "}":
                label = self.kind("name")
                assert label in KNOWN[metric], f"{metric} has no label {label}"
                self.take("=", "=~", "!=", "!~")
                self.kind("string")
                if self.peek() == ",":
                    self.take(",")
            self.take("}")
        if self.peek() == "[":
            self.take("[")
            self.kind("duration")
            self.take("]")
            self.ranged = True
        if self.peek() == "offset":
            self.take()
            self.kind("duration")


def targets() -> Iterator[tuple[str, dict[str, Any]]]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target


def expressions() -> dict[str, str]:
    """Every expression by where it stands."""
    found = {f"{title} {target['refId']}": target["expr"] for title, target in targets()}
    found |= {note["name"]: note["expr"] for note in DASHBOARD["annotations"]["list"]}
    found |= {rule["alert"]: rule["expr"] for group in RULES["groups"] for rule in group["rules"]}
    return found


@pytest.mark.parametrize(("where", "text"), expressions().items(), ids=expressions())
def test_every_expression_parses_and_asks_for_what_there_is(where: str, text: str) -> None:
    plain = text.replace("$__rate_interval", "5m").replace("$instance", ".*")
    assert "$" not in plain, where
    assert Parser(plain).whole(), where


@pytest.mark.parametrize(
    "wrong",
    ["rate(streetvision_ready)", "sum(streetvision_ready", "streetvision_nothing", 'streetvision_ready{uid="1"}',
     "sum by (colour) (streetvision_ready)", "streetvision_ready)", "streetvision_ready > ",
     "rte(streetvision_ready[5m])", "streetvision_request_seconds"],
)  # fmt: skip
def test_the_parser_finds_mistakes(wrong: str) -> None:
    with pytest.raises(AssertionError):
        Parser(wrong).whole()


def test_legends_name_labels_that_the_expression_leaves() -> None:
    for title, target in targets():
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
            used = Parser(target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")).whole()
            assert any(label in KNOWN[metric] for metric in used), f"{title}: {label}"
            grouped = re.findall(r"by \(([^)]*)\)", target["expr"])
            assert all(label in labels for labels in grouped), f"{title}: {label} is summed away"


def test_the_dashboard_is_in_order() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert not cells & taken, f"{panel['title']} lies on another panel"
        taken |= cells
    text = json.dumps(DASHBOARD)
    subjects = "rank emission headroom batch_size views candidate findings log_rows gpu retrain"
    for subject in subjects.split():
        assert subject in text


def test_the_rules_say_what_to_do() -> None:
    rules = [rule for group in RULES["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert len(rule["annotations"]["summary"]) > 20


def test_prometheus_scrapes_the_default_port() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    assert config["scrape_configs"][0]["static_configs"][0]["targets"] == [f"127.0.0.1:{METRICS_PORT}"]
    assert config["scrape_configs"][0]["job_name"] == "streetvision"
    assert all((FOLDER / name).exists() for name in config["rule_files"])


def test_the_compose_file_is_pinned_and_on_loopback() -> None:
    services = yaml.safe_load((FOLDER / "docker-compose.yml").read_text())["services"]
    for service in services.values():
        assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", service["image"])
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            assert not source.startswith("./") or (FOLDER / source).exists(), volume
    assert "--web.listen-address=127.0.0.1:9090" in services["prometheus"]["command"]
    assert services["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"


def test_grafana_finds_what_it_provisions() -> None:
    source = yaml.safe_load((FOLDER / "provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    assert source["url"] == "http://127.0.0.1:9090"
    provider = yaml.safe_load((FOLDER / "provisioning/dashboards/streetvision.yml").read_text())["providers"][0]
    compose = (FOLDER / "docker-compose.yml").read_text()
    assert f"./dashboards:{provider['options']['path']}:ro" in compose


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_agrees() -> None:
    subprocess.run(["promtool", "check", "rules", str(FOLDER / "rules.yml")], check=True)
    subprocess.run(["promtool", "check", "config", str(FOLDER / "prometheus.yml")], check=True)
