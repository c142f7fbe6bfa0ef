"""What the pages claim is so, and what there is stands in the pages."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from contracts.contract import Contract
from contracts.errors import STATUS, JsonObject
from contracts.gate.delivery import Accepted, Delivery
from contracts.gate.examination import examine
from contracts.gate.gate import Gate
from contracts.gate.rules import GateRules, Mode
from contracts.registry import REGISTRY
from contracts.subjects import Family, Subjects
from daemon.bridge.metrics import BridgeMetrics
from daemon.cli.app import app
from daemon.observability.metrics import Metrics
from daemon.settings.faults import all_keys, dotted
from daemon.settings.model import Settings
from domain.access import FREE, SCOPE_OF_COMMAND
from tests.support.command_line import headgate
from tests.support.daemons import running_daemon
from tests.support.records.usage_records import many

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NOW = 1_795_000_000_000_000


def pages() -> list[Path]:
    """All that people read, wherever it lies."""
    written = [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "deploy").rglob("*.md")]
    return sorted(written)


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rows(page: str) -> dict[str, str]:
    """The table rows of a page by the first words in code that they begin with."""
    return {match[1]: match[0] for match in re.finditer(r"^\| `([^`]+)`.*$", page, re.MULTILINE)}


# -- links


def headings(path: Path) -> set[str]:
    """The anchors that a page's headings have."""
    found = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", heading) for heading in found)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def links(path: Path) -> Iterator[str]:
    """Where a page's links lead, code aside, other hosts aside."""
    prose = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"`[^`\n]*`", "", prose)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if not re.match(r"[a-z]+:", target):
            yield target


@pytest.mark.parametrize("path", pages(), ids=shown)
def test_links_between_pages_lead_somewhere(path: Path) -> None:
    broken = []
    for link in links(path):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (anchor and anchor not in headings(target)):
            broken.append(link)
    assert broken == []


def test_the_index_leads_to_every_page() -> None:
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in links(DOCS / "README.md")}
    unlinked = [shown(page) for page in DOCS.glob("*.md") if page.name != "README.md" and page not in linked]
    assert unlinked == []


@pytest.mark.parametrize("path", pages(), ids=shown)
def test_pages_speak_of_the_project_alone(path: Path) -> None:
    """No folder of anybody's machine, no document that is not in the repository."""
    words = path.read_text(encoding="utf-8")
    assert re.findall(r"(?:/work/|/tmp/|/root/|/home/\w+/)\S*|\bDESIGN\.md|\bWIRE\.md|\bTODO\b", words) == []


# -- settings


def test_every_setting_of_the_file_stands_in_the_settings_page_with_its_default() -> None:
    page = text("settings.md")
    missing = []
    section = ""
    for line in (ROOT / "config.toml").read_text(encoding="utf-8").splitlines():
        if table := re.match(r"\[(.+?)\]", line):
            section = table[1]
        elif setting := re.match(r"(\w+) = (.+?)\s*(?:\s#\s.*)?$", line):
            key, default = setting.groups()
            if not _documented(page, section, key, default):
                missing.append(f"{section}.{key} = {default}")
    assert missing == []


def _documented(page: str, section: str, key: str, default: str) -> bool:
    if section.startswith("alerts.rules."):
        row = next(line for line in page.splitlines() if line.startswith(f"| `[{section}]` |"))
        columns = ["warning", "critical", "window_s", "cooldown_s", "resolve_after_s"]
        return row.split(" | ")[2 + columns.index(key)].strip(" |") == f"`{default}`"
    if section.startswith("work"):
        return f"| `[{section}]` | `{key}` | `{default}` | `{_variable(section, key)}` |" in page
    return f"| `{key}` | `{default}` | `{_variable(section, key)}` |" in _part(page, f"[{section}]")


def _part(page: str, heading: str) -> str:
    return page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def _variable(section: str, key: str) -> str:
    names = [quoted or plain for quoted, plain in re.findall(r'"([^"]+)"|([^.]+)', section)]
    return "HEADGATE_" + "__".join(name.replace(".", "_").upper() for name in [*names, key])


def test_the_file_has_every_setting_that_the_program_knows() -> None:
    document = tomllib.loads((ROOT / "config.toml").read_text(encoding="utf-8"))
    absent = []
    for path in all_keys(Settings):
        table: object = document
        for part in path:
            table = table.get(part, _ABSENT) if isinstance(table, dict) else _ABSENT
        if table is _ABSENT and path[0] != "notifiers" and path[-1] != "models":
            absent.append(dotted(path))
    assert absent == []


_ABSENT = object()


# -- errors, commands, kinds, metrics


def test_every_error_code_stands_in_the_errors_page_with_its_status() -> None:
    documented = rows(text("errors.md"))
    assert [code for code, status in STATUS.items() if f"| {status} |" not in documented.get(code, "")] == []


def _commands() -> list[Contract]:
    return list(REGISTRY.contracts(Family.COMMAND, Family.OPS))


@pytest.mark.parametrize("contract", _commands(), ids=lambda contract: contract.kind)
def test_every_command_stands_in_the_commands_page_with_payload_and_scope(contract: Contract) -> None:
    row = rows(text("commands.md"))[contract.kind]
    _, _, payload, _, scope, *_ = row.split("|")
    fields = {_wire_name(contract.newest.model, name) for name in contract.newest.model.model_fields}
    assert set(re.findall(r"`([a-z0-9_]+)\??`", payload)) == fields
    needed = "none" if contract.kind in FREE else f"`{SCOPE_OF_COMMAND[contract.kind]}`"
    assert needed in scope


def test_the_commands_page_names_no_command_that_does_not_exist() -> None:
    named = set(rows(text("commands.md").partition("## All commands")[2]))
    assert named == {contract.kind for contract in _commands()}


def _wire_name(model: type[BaseModel], field: str) -> str:
    return model.model_fields[field].alias or field


def test_every_kind_and_stream_stands_in_the_subjects_page() -> None:
    page = text("subjects.md")
    subjects = Subjects("hg")
    documented = rows(page)
    missing = [
        contract.kind
        for contract in REGISTRY.contracts()
        if contract.family not in {Family.COMMAND, Family.OPS}
        and not all(word in documented.get(contract.kind, "") for word in (*contract.versions, contract.address or ""))
    ]
    missing += [name for name in (*subjects.streams, subjects.status_bucket) if f"`{name}`" not in page]
    assert missing == []


def test_every_ingest_kind_and_field_stands_in_the_ingest_page() -> None:
    page = text("ingest.md")
    missing = []
    for contract in REGISTRY.contracts(Family.INGEST):
        for version, door in contract.schemas.items():
            part = page.partition(f"\n## {contract.kind} {version}\n")[2].partition("\n## ")[0]
            model = door.schema.model
            names = [_wire_name(model, name) for name in model.model_fields]
            missing += [f"{contract.kind} {version}: {name}" for name in names if not re.search(rf"\b{name}\b", part)]
    assert missing == []


def _series(registry: CollectorRegistry) -> set[str]:
    return {f"{metric.name}_total" if metric.type == "counter" else metric.name for metric in registry.collect()}


def test_every_metric_stands_in_the_runbook() -> None:
    own = {name for name in _series(Metrics().registry) if name.startswith("headgate_")}
    named = set(re.findall(r"`(headgate_[a-z_]+)`", text("operations.md")))
    assert own - named == set()
    assert named - own - _series(BridgeMetrics("replicate").registry) == set()


def test_every_metric_of_the_bridge_stands_in_its_page() -> None:
    own = {name for name in _series(BridgeMetrics("replicate").registry) if name.startswith("headgate_")}
    assert own - set(re.findall(r"`(headgate_[a-z_]+)`", text("bridge.md"))) == set()


def _cli_commands() -> Iterator[str]:
    for name, command in typer.main.get_group(app).commands.items():
        below = getattr(command, "commands", None)
        yield from [f"{name} {child}" for child in below] if below else [name]


def test_what_each_step_down_loses_stands_in_the_page_of_copies() -> None:
    steps = {path.name[:4] for path in (ROOT / "storage" / "migrations" / "versions").glob("0*.py")}
    table = text("backup.md").partition("## What a step down loses")[2]
    assert set(re.findall(r"\b\d{4}\b", table)) >= steps


def test_every_command_of_the_command_line_stands_in_a_page() -> None:
    written = "\n".join(page.read_text(encoding="utf-8") for page in pages())
    assert [name for name in _cli_commands() if f"headgate {name}" not in re.sub(r"\s+", " ", written)] == []


def _shown_commands() -> Iterator[tuple[str, list[str]]]:
    """Each command line of the program, in blocks and within sentences, with its page; what is quoted is left out."""
    block = re.compile(r"^```(?:sh|console|bash)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
    quoted = re.compile(r"'[^']*'|\"[^\"]*\"|\s#.*")
    for path in pages():
        written = path.read_text(encoding="utf-8")
        blocks = [quoted.sub(" ", each) for each in block.findall(written)]
        sentences = re.sub(r"(?ms)^```.*?^```", "", written)
        lines = [line for shell in blocks for line in re.split(r"[|;\n]|&&", shell)]
        lines += [quoted.sub(" ", re.sub(r"\s+", " ", span)) for span in re.findall(r"`([^`]+)`", sentences)]
        for line in lines:
            if call := re.search(r"^(?:\$ |sudo -u headgate |\S*bin/)*headgate ([a-z<-].*)$", line.strip()):
                yield shown(path), call[1].split()


def test_commands_in_the_pages_have_the_options_that_they_are_shown_with() -> None:
    wrong = []
    tried = 0
    for page, words in _shown_commands():
        command: object = typer.main.get_group(app)
        while (below := getattr(command, "commands", None)) and words and words[0] in below:
            command = below[words.pop(0)]
        known = {"-h", "--help", *(flag for each in getattr(command, "params", ()) for flag in each.opts)}
        given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        tried += 1
        wrong += [(page, getattr(command, "name", None), flag) for flag in sorted(given - known)]
    assert wrong == []
    assert tried > 80


# -- examples


@dataclass(frozen=True, slots=True)
class Example:
    """A block of JSON in a page; ``info`` is what stands behind the word json: ``kind=session.usage mode=compat``."""

    page: str
    line: int
    info: dict[str, str]
    body: str


def examples(*names: str) -> list[Example]:
    found = []
    for name in names:
        page = text(name)
        for match in re.finditer(r"^```json ?([^\n]*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
            info = dict(pair.split("=", 1) for pair in match[1].split())
            found.append(Example(name, page[: match.start()].count("\n") + 1, info, match[2]))
    assert found
    return found


@pytest.mark.parametrize(
    "example",
    examples("producers.md", "ingest.md", "commands.md"),
    ids=lambda example: f"{example.page}:{example.line}",
)
def test_examples_of_messages_are_accepted_by_the_gate(example: Example) -> None:
    value: JsonObject = json.loads(example.body)
    kind = example.info.get("kind") or str(value["kind"])
    mode = Mode(example.info.get("mode", "strict"))
    known = next(contract for contract in REGISTRY.contracts() if contract.kind == kind)
    subject = known.address or kind
    delivery = Delivery(subject, example.body.encode(), {}, "HG_INGEST", 1, 1, NOW, "")
    if known.family is Family.INGEST:
        judged = Gate(REGISTRY, GateRules(mode=mode)).judge(delivery)
    else:
        judged = examine(delivery, value, known, GateRules(mode=mode))
    assert isinstance(judged, Accepted), judged.problem.as_json()


def test_the_record_of_the_first_five_minutes_is_accepted() -> None:
    (body,) = re.findall(r"^\{\"envelope_version\".*$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    delivery = Delivery("ingest.session.usage", body.encode(), {}, "HG_INGEST", 1, 1, NOW, "")
    assert isinstance(Gate(REGISTRY, GateRules()).judge(delivery), Accepted)


@pytest.mark.process
def test_the_examples_do_what_they_say(tmp_path: Path) -> None:
    with running_daemon(tmp_path) as daemon:
        many(tmp_path / "records.jsonl", 2_500, "example")

        def run(name: str, *arguments: str) -> str:
            command = [sys.executable, str(ROOT / "examples" / name), *arguments]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False)
            assert done.returncode == 0, done.stderr
            return done.stdout

        told = [line.split()[1:3] for line in run("produce.py").splitlines()]
        assert told == [["accepted", "201"], ["accepted", "201"], ["refused", "400"], ["accepted", "201"]]
        session = json.loads(run("ask.py", "hg.cmd.ledger.get", '{"session_id": "monday"}'))
        assert (session["status"], session["result"]["requests"]) == (200, 3)
        assert run("produce_batch.py", "records.jsonl") == "2500 records are stored\n"
        again = headgate("publish", "--json", "--config", daemon.config, tmp_path / "records.jsonl")
    assert (again.json["accepted"], again.json["duplicate"]) == (0, 2_500)


def test_the_price_list_in_the_page_can_be_used(tmp_path: Path) -> None:
    from adapters.prices.price_lists import read_price_list

    (written, *_) = re.findall(r"^```toml\n(.*?)^```$", text("cost.md"), re.MULTILINE | re.DOTALL)
    file = tmp_path / "acme.toml"
    file.write_text(written)
    assert read_price_list(file).version == "acme-2026-11"
