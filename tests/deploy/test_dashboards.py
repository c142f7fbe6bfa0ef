"""Every expression of dashboards and rules, asked of a real Prometheus that scrapes a real daemon with traffic."""

import asyncio
import json
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import nats
import pytest
import yaml

from tests.deploy.conftest import DEPLOY
from tests.support.command_line import headgate
from tests.support.daemons import DaemonProcess, eventually, running_daemon
from tests.support.ports import free_port
from tests.support.records.envelopes import enveloped
from tests.support.records.usage_records import envelope, lines
from tests.support.waiting import PATIENCE_S

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed"),
]

DASHBOARDS: Final = sorted((DEPLOY / "grafana").glob("*.json"))
RULES: Final = DEPLOY / "prometheus" / "headgate.rules.yml"
VARIABLES: Final = {"$instance": ".*", "$__rate_interval": "1m", "$limit_usd": "100"}
# What a healthy daemon has no series of: failures, trouble, and what belongs to a bridge.
QUIET: Final = (
    "headgate_bridge_errors_total",
    "headgate_forged_total",
    "headgate_job_failures_total",
    "headgate_loop_failures_total",
    "headgate_messages_given_up_total",
    "headgate_notifications_total",
    "headgate_self_heal_items",
    "headgate_alert_severity",
    "headgate_jobs_stuck",
    'status=~"5.."',
    "ALERTS{",
    "publish.result",
    "content.",
)


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[str]:
    """A server that scrapes the target each second and knows the shipped rules; its URL."""
    config = folder / "prometheus.yml"
    config.write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(RULES)],
                "scrape_configs": [{"job_name": "headgate", "static_configs": [{"targets": [target]}]}],
            }
        )
    )
    address = f"127.0.0.1:{free_port()}"
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={address}"], stdout=log, stderr=log)
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def query(url: str, expression: str) -> list[dict[str, Any]]:
    """The answer to an instant query; fails with Prometheus's own words where it is refused."""
    try:
        response = httpx.get(f"{url}/api/v1/query", params={"query": expression})
    except httpx.TransportError:
        return []  # it has not begun to listen
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return []  # it is starting
    answer = response.json()
    assert answer["status"] == "success", f"{expression}: {answer}"
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def expressions(dashboard: Path) -> list[str]:
    found = []
    for panel in json.loads(dashboard.read_text())["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for variable, value in VARIABLES.items():
                expression = expression.replace(variable, value)
            found.append(expression)
    return found


async def job_that_gets_done(daemon: DaemonProcess) -> None:
    """From its creation to READY, by a worker that says what there is to say."""
    nc = await nats.connect(daemon.nats_url)
    js = nc.jetstream()

    async def ask(kind: str, **payload: object) -> dict[str, Any]:
        reply = await nc.request(f"hg.cmd.{kind}", message(kind, payload), timeout=PATIENCE_S)
        answer = json.loads(reply.data)["payload"]
        assert answer["status"] < 300, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def work(work_type: str, *steps: dict[str, object]) -> None:
        queue = await js.pull_subscribe_bind(f"headgate-work-{work_type.replace('.', '-')}", "HG_WORK")
        (taken,) = await queue.fetch(1, timeout=PATIENCE_S)
        order = json.loads(taken.data)["payload"]
        for sequence, step in enumerate(steps, 1):
            event_id = f"{order['work_id']}:{sequence}"
            said = {"event_id": event_id, "attempt": order["attempt"], "sequence": sequence, **step}
            await js.publish(order["callback_subject"], message("job.status", said, event_id))
        await taken.ack_sync()

    async def until(job_id: str, status: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while (await ask("job.get", job_id=job_id))["status"] != status:  # noqa: ASYNC110 - it is asked
                await asyncio.sleep(0.05)

    project = await ask("project.create", name="dashboards")
    job = await ask("job.create", project_id=project["project_id"], title="A film", prompt="A lighthouse")
    await ask("job.run", job_id=job["job_id"])
    draft = {"instruction": {"blocks": [{"block_id": "s", "type": "step", "text": "x"}]}}
    await work(
        "job.process",
        {"status": "TRANSCRIBING"},
        {"status": "DRAFTING", "cost_usd": "0.25"},
        {"status": "AWAITING_APPROVAL", "artifacts": draft},
    )
    await until(job["job_id"], "AWAITING_APPROVAL")
    await ask("job.approve", job_id=job["job_id"])
    await ask("job.render", job_id=job["job_id"])
    await work("job.render", {"status": "READY", "artifacts": {"video_url": "https://files.example/out.mp4"}})
    await until(job["job_id"], "READY")
    await nc.close()


def message(kind: str, payload: dict[str, object], message_id: str | None = None) -> bytes:
    return json.dumps(enveloped(kind, payload, message_id=message_id, producer="dashboards")).encode()


def traffic(daemon: DaemonProcess) -> None:
    records = [envelope(f"d:{uuid.uuid4()}") for _ in range(20)]
    command = ("publish", "--json", "--config", daemon.config)
    headgate(*command, stdin=lines(*records, records[0], envelope(f"d:{uuid.uuid4()}", status="maybe")))
    headgate("ops", "backup", "--json", "--config", daemon.config)
    headgate("ops", "self-heal", "--json", "--config", daemon.config)
    asyncio.run(job_that_gets_done(daemon))


def test_every_expression_is_answered_by_what_a_daemon_with_traffic_shows(tmp_path: Path) -> None:
    with running_daemon(tmp_path / "home") as daemon:
        target = daemon.http_url.removeprefix("http://")
        with prometheus(tmp_path, target) as url:
            eventually(lambda: query(url, "headgate_ready == 1"))
            for times in (1, 2):  # a rate needs two figures that differ
                traffic(daemon)
                done = f'sum(headgate_job_transitions_total{{to="READY"}}) == {times}'
                eventually(partial(query, url, done))
            eventually(lambda: query(url, "headgate_backup_last_success_timestamp_seconds > 0"))
            unanswered = [
                f"{dashboard.stem}: {expression}"
                for dashboard in DASHBOARDS
                for expression in expressions(dashboard)
                if not query(url, expression) and not any(word in expression for word in QUIET)
            ]
            broken = [
                rule["name"]
                for group in httpx.get(f"{url}/api/v1/rules").json()["data"]["groups"]
                for rule in group["rules"]
                if rule["health"] == "err"
            ]
    assert (unanswered, broken) == ([], [])
