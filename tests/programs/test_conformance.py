"""``headgate conformance``: programs of the pages keep every rule, and those that break some are told which."""

import shlex
import sys
from pathlib import Path

import pytest

from tests.programs.conftest import program
from tests.support.command_line import headgate
from tests.support.commands import Json
from tests.support.records.usage_records import many

pytestmark = [pytest.mark.process, pytest.mark.slow]

SPOILED = (
    ('"attempt": self.order["attempt"]', '"attempt": 1'),
    ("raise Stop(code)", "pass"),
    ("        task.cancel()", "        pass"),
    ("await message.term()", "await message.nak(delay=1)"),
)


EXAMPLES = Path(__file__).parents[2] / "examples"
# By what is wrong with the producer: what is changed in the good one, and the rules that it breaks then.
SPOILED_PRODUCERS = {
    "a new id at each try, and questions to the server": (
        (
            ('usage", body,', 'usage", body.replace(b"planner-7:", uuid.uuid4().hex.encode() + b":"),'),
            ("    for number,", "    await nc.jetstream().account_info()\n    for number,"),
        ),
        {"subject", "contract", "message id", "lost acknowledgement", "full stream", "lost receipt"},
    ),
    "no acknowledgement, and no correction": (
        (
            ("nc.jetstream().publish(", "nc.publish("),
            ("body, timeout=PATIENCE_S,", "body,"),
            ('payload | {"input_tokens": 0}', "payload"),
        ),
        {"contract", "acknowledgement", "refusal"},
    ),
    "nothing is sent again": (
        (("await asyncio.sleep(pause_s)", 'return {"outcome": "lost"}'),),
        {"lost acknowledgement", "full stream", "lost receipt"},
    ),
    "one Nats-Msg-Id for all tries": (
        (
            (
                '"Headgate-Receipt": inbox}',
                '"Headgate-Receipt": inbox, "Nats-Msg-Id": str(json.loads(body)["message_id"])}',
            ),
        ),
        {"Nats-Msg-Id"},
    ),
}


def tried(file: Path) -> tuple[int, Json]:
    waits = ("--work-s", "20", "--quiet-s", "2")
    command = ("conformance", "worker", "--subject", "hg.work.job.process", "--json")
    done = headgate(*command, *waits, "--exec", f"{sys.executable} {file}", timeout_s=200)
    return done.code, done.json


@pytest.mark.fresh
def test_the_worker_of_the_page_keeps_every_rule(tmp_path: Path) -> None:
    file = tmp_path / "worker.py"
    file.write_text(program("workers.md", "worker.py"))
    code, told = tried(file)
    assert (code, told["broken"]) == (0, 0), told
    assert all(verdict["outcome"] == "kept" for verdict in told["verdicts"])


def test_a_worker_that_breaks_rules_is_told_which(tmp_path: Path) -> None:
    text = program("workers.md", "worker.py")
    for right, wrong in SPOILED:
        assert right in text
        text = text.replace(right, wrong)
    file = tmp_path / "worker.py"
    file.write_text(text.replace('"0.2"', '"0.8"'))
    code, told = tried(file)
    broken = {verdict["rule"].split(":")[0] for verdict in told["verdicts"] if verdict["outcome"] == "broken"}
    assert code == 1
    assert broken == {"malformed work", "again, attempt", "cancellation"}, told


def tried_producer(*program: str) -> tuple[int, Json]:
    waits = ("--work-s", "10", "--quiet-s", "1")
    command = ("conformance", "producer", "--json")
    done = headgate(*command, *waits, "--exec", shlex.join(program), timeout_s=200)
    return done.code, done.json


def outcomes(told: Json, outcome: str) -> set[str]:
    return {verdict["rule"].split(":")[0] for verdict in told["verdicts"] if verdict["outcome"] == outcome}


@pytest.mark.fresh
def test_the_producer_of_the_examples_keeps_every_rule() -> None:
    code, told = tried_producer(sys.executable, str(EXAMPLES / "produce.py"))
    assert (code, told["broken"]) == (0, 0), told
    assert outcomes(told, "not tried") == {"traceparent"}


def test_a_producer_in_typescript_keeps_every_rule(compiled: Path) -> None:
    code, told = tried_producer("node", str(compiled / "out" / "producer.js"))
    assert (code, told["broken"]) == (0, 0), told
    assert outcomes(told, "not tried") == {"traceparent"}


def test_a_producer_that_ends_aloud_and_starts_again_with_the_same_records_keeps_every_rule(tmp_path: Path) -> None:
    file = many(tmp_path / "records.jsonl", 50, "batch")
    code, told = tried_producer(sys.executable, str(EXAMPLES / "produce_batch.py"), str(file))
    assert (code, told["broken"]) == (0, 0), told
    assert outcomes(told, "not tried") == {"traceparent", "refusal", "lost receipt"}


@pytest.mark.parametrize("fault", SPOILED_PRODUCERS)
def test_a_producer_that_breaks_rules_is_told_which(fault: str, tmp_path: Path) -> None:
    changes, broken = SPOILED_PRODUCERS[fault]
    text = (EXAMPLES / "produce.py").read_text().replace("PATIENCE_S = 2.0", "PATIENCE_S = 0.5")
    for right, wrong in changes:
        assert right in text
        text = text.replace(right, wrong)
    file = tmp_path / "produce.py"
    file.write_text(text)
    code, told = tried_producer(sys.executable, str(file))
    assert (code, outcomes(told, "broken")) == (1, broken), told


def test_a_producer_that_says_nothing_is_told(tmp_path: Path) -> None:
    code, told = tried_producer(sys.executable, "-c", "")
    assert (code, outcomes(told, "broken")) == (1, {"publishing"})


def test_a_subject_that_is_none_of_work_is_told() -> None:
    done = headgate("conformance", "worker", "--subject", "hg.ingest.session.usage")
    assert done.code == 4
    assert "no subject of work" in done.err
