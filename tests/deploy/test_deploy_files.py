"""Everything under deploy/ can be read by what it is for, and names only what exists."""

import base64
import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from daemon.bridge.metrics import BridgeMetrics
from daemon.observability.metrics import Metrics
from daemon.process.runtime_file import Runtime, write_runtime
from daemon.settings.loading import load_settings
from daemon.settings.model import Settings
from tests.deploy.conftest import DEPLOY
from tests.support.starts.programs import HEADGATE
from tests.support.waiting import PATIENCE_S

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


DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))


def panels(dashboard: Path) -> list[dict[str, Any]]:
    document = json.loads(dashboard.read_text())
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def test_alert_rules_use_metrics_that_exist() -> None:
    used = {name for rule in rules() for name in NAMES.findall(rule["expr"])}
    assert used - existing_series() == set()


CASES = sorted((DEPLOY / "prometheus").glob("*.test.yml"))


def test_every_alert_rule_has_a_case() -> None:
    tried = {case["name"].partition(":")[0] for file in CASES for case in yaml.safe_load(file.read_text())["tests"]}
    assert {rule["alert"] for rule in rules()} == tried


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_alerts_fire_when_they_should_and_only_then() -> None:
    command: list[str | Path] = ["promtool", "test", "rules", *CASES]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=2 * PATIENCE_S)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool is not installed")
def test_alertmanager_takes_its_configuration() -> None:
    command = ["amtool", "check-config", str(DEPLOY / "alertmanager" / "alertmanager.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr


def test_there_are_three_dashboards() -> None:
    assert [path.stem for path in DASHBOARDS] == ["business", "operations", "performance"]


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=shown)
def test_a_dashboard_uses_metrics_that_exist_of_the_source_that_is_chosen(dashboard: Path) -> None:
    document = json.loads(dashboard.read_text())
    used = {
        name for panel in panels(dashboard) for target in panel["targets"] for name in NAMES.findall(target["expr"])
    }
    assert used - existing_series() == set()
    assert document["templating"]["list"][0]["name"] == "datasource"
    sources = {found["uid"] for panel in panels(dashboard) for found in [panel["datasource"], *_sources(panel)]}
    assert sources == {"${datasource}"}


def _sources(panel: dict[str, Any]) -> list[dict[str, str]]:
    return [target["datasource"] for target in panel["targets"]]


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=shown)
def test_rates_follow_the_resolution_of_the_panel(dashboard: Path) -> None:
    """A fixed window of a minute shows nothing where Prometheus scrapes each minute. Days and hours are meant."""
    windows = {
        window
        for panel in panels(dashboard)
        for target in panel["targets"]
        for window in re.findall(r"\[([^\]]+)\]", target["expr"])
    }
    assert windows <= {"$__rate_interval", "1h", "1d", "7d"}


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=shown)
def test_panels_do_not_lie_over_one_another(dashboard: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels(dashboard):
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


@pytest.mark.parametrize("name", ["compose.yaml", "fly.toml", "Containerfile"])
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
        "HEADGATE_LIMITS__REPLY_PREFIXES": '["_INBOX.bridge."]',
        "HEADGATE_BRIDGE__REPLICATE__HTTP_PORT": "9102",
        "HEADGATE_BRIDGE__REPLICATE__TOKEN": "r8_x",
        "HEADGATE_CONSOLE__WS_URL": "ws://127.0.0.1:9222",
        "HEADGATE_CONSOLE__WS_PORT": "9222",
        "HEADGATE_CONSOLE__PUBLIC_URL": "http://127.0.0.1:8080",
        "HEADGATE_HTTP__PUBLIC_URL": "http://127.0.0.1:8080",
    }
    used = set(OVERRIDES.findall((DEPLOY / name).read_text()))
    given = {variable: values.get(variable, str(tmp_path)) for variable in used}
    settings = load_settings(REPOSITORY / "config.toml", given)
    assert used
    assert settings.auth.mode == ("jwt" if "HEADGATE_AUTH__MODE" in used else "none")


def installed_settings() -> Settings:
    return load_settings(DEPLOY / "systemd" / "config.toml", {})


def test_the_shipped_settings_name_absolute_paths_and_fixed_ports() -> None:
    settings = installed_settings()
    kept = {
        settings.daemon.state_dir,
        settings.nats.store_dir,
        settings.imports.dir,
        settings.backup.dir,
        Path(settings.storage.url.removeprefix("sqlite:///")),
    }
    assert all(Path("/var/lib/headgate") in {path, *path.parents} for path in kept)
    assert (settings.nats.port, settings.http.port) == (4222, 8080)


@pytest.mark.parametrize("unit", ["headgate.service", "headgate-bridge.service"])
def test_units_override_no_setting_of_the_file_that_the_command_line_reads(unit: str) -> None:
    lines = (DEPLOY / "systemd" / unit).read_text().splitlines()
    assert [line for line in lines if line.startswith("Environment=")] == []
    assert [line for line in lines if line.startswith("ExecStart=") and "/etc/headgate/config.toml" in line]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", ["headgate.service", "headgate-bridge.service"])
def test_units_are_clean_and_little_exposed(unit: str, tmp_path: Path) -> None:
    program = tmp_path / "headgate"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copy = tmp_path / unit
    copy.write_text((DEPLOY / "systemd" / unit).read_text().replace("/opt/headgate/.venv/bin/headgate", str(program)))
    analyze = ["systemd-analyze", "--no-pager"]
    verified = subprocess.run([*analyze, "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    rated = subprocess.run(
        [*analyze, "security", "--offline=yes", str(copy)], capture_output=True, text=True, check=False
    )
    (exposure,) = re.findall(r"exposure level for \S+: ([0-9.]+)", rated.stdout)
    assert float(exposure) <= 2.0


def test_the_command_line_of_an_installed_daemon_has_the_secrets_of_its_unit(tmp_path: Path) -> None:
    """Without them the same settings mean another database, and with tokens nothing runs."""
    settings, secrets, program = tmp_path / "config.toml", tmp_path / "secrets.env", tmp_path / "headgate"
    settings.write_text("auth.mode = 'jwt'\n")
    secrets.write_text(
        f"# quoted or not, as the unit reads it\nHEADGATE_AUTH__JWT_SECRET={'k' * 32}\n"
        f'HEADGATE_CALLBACKS__SECRETS=["whsec_{base64.b64encode(bytes(32)).decode()}"]\n'
        "HEADGATE_STORAGE__URL='postgresql://me:s%20$x@db/headgate'\nHEADGATE_LOG__LEVEL=\"debug\""
    )
    shipped = (DEPLOY / "systemd" / "headgate").read_text()
    program.write_text(
        shipped.replace("/etc/headgate/secrets.env", str(secrets)).replace(
            "/opt/headgate/.venv/bin/headgate", str(HEADGATE)
        )
    )
    program.chmod(0o755)
    command, given = [str(program), "check-config", "--config", str(settings)], {"PATH": os.environ["PATH"]}

    told = subprocess.run(command, env=given, capture_output=True, text=True, check=True).stdout
    assert "@db/headgate" in told
    assert 'log.level = "debug"' in told
    own = {**given, "HEADGATE_LOG__LEVEL": "error"}
    assert 'log.level = "error"' in subprocess.run(command, env=own, capture_output=True, text=True, check=True).stdout
    secrets.unlink()
    assert subprocess.run(command, env=given, capture_output=True, check=False).returncode == 1


def test_the_unit_tells_workers_of_other_users_where_the_server_is(tmp_path: Path) -> None:
    """What ExecStartPost runs: the file that workers' units name as EnvironmentFile."""
    unit = (DEPLOY / "systemd" / "headgate.service").read_text()
    (script,) = re.findall(r"^ExecStartPost=/bin/sh -c '(.*)'$", unit, re.MULTILINE)
    url = "nats://s3cret-_token@127.0.0.1:4222"
    write_runtime(tmp_path, Runtime(1, url, "http://127.0.0.1:8080", "2026-11-20T10:15:30Z"))
    unescaped = script.replace("\\\\", "\0").replace('\\"', '"').replace("\0", "\\")
    moved = unescaped.replace("/var/lib/headgate", str(tmp_path)).replace("/run/headgate", str(tmp_path))
    subprocess.run(["/bin/sh", "-c", moved], check=True)
    written = tmp_path / "nats.env"
    assert written.read_text() == f"NATS_URL={url}\n"
    assert written.stat().st_mode & 0o777 == 0o640


def test_every_folder_that_the_image_copies_is_there_and_is_sent_to_the_builder() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    container = {"deploy/container/headgate-ready", "deploy/container/headgate-as-user"}
    sources = {source for line in copied for source in line.split()} - container - {"daemon/http/console"}
    sources |= {"deploy/container"}
    sent = {line[1:] for line in (DEPLOY / "Containerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    packages = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert sources == sent
    assert set(packages["packages"]) < sources
    assert [source for source in sources if not (REPOSITORY / source).exists()] == []
