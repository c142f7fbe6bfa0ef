"""Everything under deploy/ can be read by what it is for, and names only what exists."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from daemon.bridge.metrics import BridgeMetrics
from daemon.observability.metrics import Metrics
from daemon.settings.loading import load_settings
from tests.deploy.conftest import DEPLOY

REPOSITORY = DEPLOY.parent
NAMES = re.compile(r"\b(?:headgate|process)_[a-z0-9_]+")
OVERRIDES = re.compile(r"HEADGATE_[A-Z_]+__[A-Z_]+")
# Longest line of a panel's or a rule's query that a histogram's series end in.
SERIES = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("_total",), "gauge": ("",), "info": ("_info",)}


def files(*endings: str) -> list[Path]:
    found = [path for path in sorted(DEPLOY.rglob("*")) if path.suffix in endings]
    assert found, f"no {endings} under deploy/"
    return found


def shown(path: Path) -> str:
    return str(path.relative_to(DEPLOY))


def series(registry: CollectorRegistry) -> set[str]:
    return {metric.name + ending for metric in registry.collect() for ending in SERIES[metric.type]}


def existing_series() -> set[str]:
    return series(Metrics().registry) | series(BridgeMetrics("replicate").registry)


@pytest.mark.parametrize("path", files(".yaml", ".yml"), ids=shown)
def test_every_yaml_file_is_yaml(path: Path) -> None:
    assert isinstance(yaml.safe_load(path.read_text()), dict)


@pytest.mark.parametrize("path", files(".json"), ids=shown)
def test_every_json_file_is_json(path: Path) -> None:
    assert isinstance(json.loads(path.read_text()), dict)


@pytest.mark.parametrize("path", files(".toml"), ids=shown)
def test_every_toml_file_is_toml(path: Path) -> None:
    assert tomllib.loads(path.read_text())


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((DEPLOY / "prometheus" / "headgate.rules.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    document = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def test_alert_rules_use_metrics_that_exist() -> None:
    used = {name for rule in rules() for name in NAMES.findall(rule["expr"])}
    assert used - existing_series() == set()


def test_the_dashboard_uses_metrics_that_exist() -> None:
    used = {name for panel in panels() for target in panel["targets"] for name in NAMES.findall(target["expr"])}
    assert used - existing_series() == set()


def test_panels_do_not_lie_over_one_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings have."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_alert_has_a_severity_and_leads_into_the_runbook() -> None:
    for rule in rules():
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert (REPOSITORY / page).is_file(), rule["alert"]
        assert not anchor or anchor in anchors(REPOSITORY / page), rule["alert"]


def test_alertmanager_knows_the_alerts_that_it_names() -> None:
    named = set(re.findall(r'alertname="(\w+)"', (DEPLOY / "alertmanager" / "alertmanager.yml").read_text()))
    assert named <= {rule["alert"] for rule in rules()}


def compose() -> dict[str, Any]:
    document = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert isinstance(document, dict)
    return document


def environment_example() -> dict[str, str]:
    lines = (DEPLOY / "compose.env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_compose_reads_only_variables_that_its_example_names() -> None:
    used = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    assert used == set(environment_example())


def test_compose_gives_the_server_every_password_that_its_accounts_read() -> None:
    read = set(re.findall(r"\$(NATS_\w+)", (DEPLOY / "nats" / "accounts.conf").read_text()))
    assert read == set(compose()["services"]["nats"]["environment"])


@pytest.mark.parametrize("name", ["compose.yaml", "fly.toml", "Containerfile", "systemd/headgate.service"])
def test_settings_in_the_environment_are_settings(name: str, tmp_path: Path) -> None:
    """Each variable is known, and its neighbours in the file make settings that the daemon would start with."""
    secret = "whsec_" + "QUJD" * 10
    values = {
        "HEADGATE_NATS__MODE": "external",
        "HEADGATE_NATS__URL": "nats://daemon:x@nats:4222",
        "HEADGATE_STORAGE__URL": "postgresql://headgate:x@postgres/headgate",
        "HEADGATE_AUTH__MODE": "jwt",
        "HEADGATE_AUTH__JWT_SECRET": "s" * 32,
        "HEADGATE_CALLBACKS__SECRETS": f'["{secret}"]',
        "HEADGATE_HTTP__HOST": "0.0.0.0",
        "HEADGATE_HTTP__PORT": "8080",
    }
    used = set(OVERRIDES.findall((DEPLOY / name).read_text()))
    given = {variable: values.get(variable, str(tmp_path)) for variable in used}
    settings = load_settings(REPOSITORY / "config.toml", given)
    assert used
    assert settings.auth.mode == ("jwt" if "HEADGATE_AUTH__MODE" in used else "none")


def test_every_folder_that_the_image_copies_is_there_and_is_sent_to_the_builder() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    sent = {line[1:] for line in (DEPLOY / "Containerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    packages = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert sources == sent
    assert set(packages["packages"]) < sources
    assert [source for source in sources if not (REPOSITORY / source).exists()] == []
