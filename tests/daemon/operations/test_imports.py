"""Imports: records from files through the same contracts, twice the same, refused ones kept, killed ones resumed."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson
import pytest

from tests.contracts.samples import envelope, event, usage, usage_1
from tests.daemon.operations.operating import Json, Operator, operating, until
from tests.support.daemons import DaemonProcess, running_daemon
from tests.support.waiting import PATIENCE_S

pytestmark = [pytest.mark.process, pytest.mark.kills]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    with running_daemon(tmp_path_factory.mktemp("imports")) as ready:
        (ready.state_dir / "imports").mkdir()
        yield ready


def write_lines(daemon: DaemonProcess, name: str, records: Sequence[Json]) -> Path:
    path = daemon.state_dir / "imports" / name
    lines = [record if isinstance(record, bytes) else orjson.dumps(record) for record in records]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


async def imported(operator: Operator, **asked: Json) -> Json:
    answer = await operator.ask("import-legacy", **asked)
    assert answer["status"] == 202, answer
    return await operator.ended(answer["result"]["run_id"])


def rows(daemon: DaemonProcess, question: str) -> list[tuple[Json, ...]]:
    with sqlite3.connect(daemon.database) as connection:
        return connection.execute(question).fetchall()


def counts(run: Json) -> tuple[int, int, int, int]:
    result = run["result"]
    return (result["read"], result["written"], result["skipped"], result["refused"])


async def test_a_file_imported_twice_makes_the_same_rows(daemon: DaemonProcess) -> None:
    """Bare payloads of old and new schemas, envelopes, and one record that stands there twice."""
    records = [
        usage_1(session_id="old-1"),
        usage(session_id="new-1"),
        envelope(usage(session_id="wrapped-1"), message_id="wrapped-1"),
        usage_1(session_id="old-1"),
    ]
    write_lines(daemon, "usage.jsonl", records)
    async with operating(daemon) as operator:
        first = await imported(operator, kind="session.usage", path="usage.jsonl")
        again = await imported(operator, kind="session.usage", path="usage.jsonl")

    assert first["status"] == "succeeded"
    assert first["result"] == {"read": 4, "written": 3, "skipped": 1, "refused": 0, "errors": []}
    assert counts(again) == (4, 0, 4, 0)
    stored = rows(daemon, "SELECT session_id FROM session_usage ORDER BY 1")
    assert stored == [("new-1",), ("old-1",), ("wrapped-1",)]
    assert rows(daemon, "SELECT count(*) FROM imported_keys WHERE kind = 'session.usage'") == [(3,)]


async def test_refused_records_are_dead_letters_once_and_can_be_mended(daemon: DaemonProcess) -> None:
    bad = usage(session_id="bad-1", input_tokens=-1)
    write_lines(daemon, "bad.jsonl", [usage(session_id="good-1"), bad, b"{no json", bad, b"", b"[1]"])
    async with operating(daemon) as operator:
        first = await imported(operator, kind="session.usage", path="bad.jsonl")
        again = await imported(operator, kind="session.usage", path="bad.jsonl")
        found = (await operator.result("dead-letters", action="list", limit=500))["items"]
        letters = [await operator.letter(each["dead_letter_id"]) for each in found]
        mended = next(letter for letter in letters if letter["kind"] == "session.usage" and "-1" in letter["body"])
        body = orjson.dumps(usage(session_id="bad-1", input_tokens=1)).decode()
        await operator.result("dead-letters", action="edit", dead_letter_id=mended["dead_letter_id"], body=body)
        await operator.state(mended["dead_letter_id"], "resolved")

    assert counts(first) == (5, 1, 0, 4)
    assert counts(again) == (5, 0, 1, 4)
    assert [error["line"] for error in first["result"]["errors"]] == [2, 3, 4, 6]
    assert first["result"]["errors"][0]["error"]["details"][0]["path"] == "payload.input_tokens"
    assert len(letters) == 3
    assert {letter["origin"]["stream"] for letter in letters} == {"import"}
    assert {letter["origin"]["headers"]["Headgate-Import"] for letter in letters} == {
        "bad.jsonl:2",
        "bad.jsonl:3",
        "bad.jsonl:6",
    }
    assert rows(daemon, "SELECT input_tokens FROM session_usage WHERE session_id = 'bad-1'") == [(1,)]


async def test_a_json_document_is_read_too(daemon: DaemonProcess) -> None:
    path = daemon.state_dir / "imports" / "events.json"
    path.write_text(orjson.dumps([event(session_id=f"doc-{number}") for number in range(3)]).decode(), "utf-8")
    async with operating(daemon) as operator:
        run = await imported(operator, kind="session.event", path="events.json")

    assert counts(run) == (3, 3, 0, 0)


async def test_an_object_is_imported_like_a_file(daemon: DaemonProcess) -> None:
    body = orjson.dumps(event(session_id="object-1"))
    async with operating(daemon) as operator:
        store = await operator.nc.jetstream(timeout=PATIENCE_S).object_store("HG_ASSETS")
        await store.put("legacy/events.jsonl", body)
        run = await imported(operator, kind="session.event", object="legacy/events.jsonl")
        missing = await operator.ask("import-legacy", kind="session.event", object="nothing")

    assert counts(run) == (1, 1, 0, 0)
    assert [detail["path"] for detail in missing["error"]["details"]] == ["payload.object"]
    assert not list(daemon.state_dir.glob("import-*"))


async def test_only_regular_files_below_the_folder_are_read(daemon: DaemonProcess) -> None:
    folder = daemon.state_dir / "imports"
    outside = write_lines(daemon, "../outside.jsonl", [event()])
    (folder / "link").symlink_to(outside)
    (folder / "inside").symlink_to(write_lines(daemon, "real.jsonl", [event(session_id="linked")]))
    os.mkfifo(folder / "pipe")
    refused = ["../outside.jsonl", str(outside), "link", "pipe", "absent", ".", "a\0b", "/etc/passwd"]
    async with operating(daemon) as operator:
        answers = [await operator.ask("import-legacy", kind="session.event", path=path) for path in refused]
        linked = await imported(operator, kind="session.event", path="inside")
        unknown = await operator.ask("import-legacy", kind="no.such.kind", path="inside")
        neither = await operator.ask("import-legacy", kind="session.event")

    told = [(answer["status"], [detail["path"] for detail in answer["error"]["details"]]) for answer in answers]
    assert told == [(400, ["payload.path"])] * len(refused)
    assert counts(linked) == (1, 1, 0, 0)
    assert [detail["path"] for detail in unknown["error"]["details"]] == ["payload.kind"]
    assert neither["status"] == 400


async def test_an_import_goes_on_after_its_daemon_was_killed(tmp_path: Path) -> None:
    """Nothing is read twice: the counts are those of one passage."""
    with running_daemon(tmp_path) as daemon:
        (daemon.state_dir / "imports").mkdir()
        records = [event(session_id=f"k-{number % 50}", text=f"line {number}") for number in range(30_000)]
        write_lines(daemon, "many.jsonl", [*records, {"session_id": 1}])
        async with operating(daemon) as operator:
            answer = await operator.result("import-legacy", kind="session.event", path="many.jsonl")

            async def under_way() -> bool:
                result = (await operator.run(answer["run_id"]))["result"]
                return result is not None and result["read"] >= 2_000

            await until(under_way)
        daemon.kill9()
        daemon.start()
        async with operating(daemon) as operator:
            run = await operator.ended(answer["run_id"], within_s=180)

        assert counts(run) == (30_001, 30_000, 0, 1)
        assert rows(daemon, "SELECT count(*) FROM session_events") == [(30_000,)]
        assert daemon.events("run_taken_over")
