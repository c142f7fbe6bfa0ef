"""``headgate publish`` beside a real daemon: what a producer's developer sees."""

import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.support.command_line import Done, Json, headgate, started
from tests.support.daemons import DaemonProcess, eventually, running_daemon
from tests.support.records.usage_records import envelope, envelope_1, lines, many, payload

pytestmark = [pytest.mark.process, pytest.mark.kills]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """One daemon for the tests that leave it alone; each of them uses message ids of its own."""
    with running_daemon(tmp_path_factory.mktemp("daemon")) as running:
        yield running


def publish(daemon: DaemonProcess, *arguments: str | Path, stdin: str | bytes = b"") -> Done:
    return headgate("publish", *arguments, "--config", daemon.config, stdin=stdin)


def told(daemon: DaemonProcess, *arguments: str | Path, stdin: str | bytes = b"") -> Json:
    """The same, as JSON."""
    return publish(daemon, *arguments, "--json", stdin=stdin).json


def counted(answer: Json) -> Json:
    """The fates that occurred."""
    fates = ("accepted", "duplicate", "refused", "unreadable", "rejected", "no_receipt", "unpublished", "stored")
    return {fate: answer[fate] for fate in fates if answer[fate]}


def troubles(answer: Json) -> list[tuple[object, ...]]:
    found = answer["troubles"]
    assert isinstance(found, list)
    return [tuple(trouble[name] for name in ("code", "path", "rule", "count", "places")) for trouble in found]


def stored(daemon: DaemonProcess, prefix: str) -> int:
    """Usage rows whose message ids begin with *prefix*."""
    with closing(sqlite3.connect(f"file:{daemon.database}?mode=ro", uri=True)) as database:
        query = "SELECT count(*) FROM session_usage WHERE message_id >= ? AND message_id < ?"
        return int(database.execute(query, (prefix, prefix + "\x7f")).fetchone()[0])


def _has_stored(daemon: DaemonProcess, prefix: str, enough: int) -> bool:
    return stored(daemon, prefix) >= enough


# -- what becomes of records


def test_records_are_accepted_once_and_known_the_second_time(daemon: DaemonProcess, tmp_path: Path) -> None:
    file = many(tmp_path / "usage.jsonl", 2_500, "twice")
    first = publish(daemon, file)
    assert first.code == 0, first.err
    assert "2,500 records in" in first.out
    assert "2,500  accepted" in first.out

    # Well within the two minutes in which the server itself would drop a repetition without a word.
    second = publish(daemon, file, "--json")
    assert second.code == 0, second.err
    assert counted(second.json) == {"duplicate": 2_500}
    assert stored(daemon, "twice:") == 2_500


def test_refusals_name_every_field_that_is_wrong_and_where_to_look(daemon: DaemonProcess, tmp_path: Path) -> None:
    file = tmp_path / "mixed.jsonl"
    mine = tmp_path.name  # a second try is of other messages: the daemon is the module's
    nameless = envelope(f"{mine}:1")
    del nameless["created_at"]
    file.write_text(
        lines(
            envelope(f"{mine}:0"),
            nameless | {"payload": payload(1, input_tokens="many")},
            envelope(f"{mine}:2", input_tokens="many"),
            envelope(f"{mine}:3") | {"schema_version": "9.0"},
        )
    )
    done = publish(daemon, file, "--json")
    assert done.code == 1
    assert counted(done.json) == {"accepted": 1, "refused": 3}
    assert troubles(done.json) == [
        ("VALIDATION_ERROR", "payload.input_tokens", "int_type", 2, [f"{file}:2", f"{file}:3"]),
        ("VALIDATION_ERROR", "created_at", "missing", 1, [f"{file}:2"]),
        ("UNSUPPORTED_CONTRACT_VERSION", "schema_version", "unsupported_version", 1, [f"{file}:4"]),
    ]

    shown = publish(daemon, file)
    assert shown.code == 1
    assert "payload.input_tokens" in shown.out
    assert "The schema version is not supported: 1.0, 2.0" in shown.out
    assert f"{file}:2, {file}:3" in shown.out


def test_another_payload_under_a_known_message_id_is_a_conflict(daemon: DaemonProcess) -> None:
    records = lines(envelope("conflict:0", 1), envelope("conflict:0", 2))
    answer = told(daemon, "-", stdin=records)
    assert counted(answer) == {"accepted": 1, "refused": 1}
    assert troubles(answer) == [("IDEMPOTENCY_CONFLICT", "", "", 1, ["stdin:2"])]


def test_what_cannot_be_read_is_told_and_the_rest_goes_out(daemon: DaemonProcess) -> None:
    records = lines(envelope("bad-lines:0"), "", '{"kind": nonsense}', "[1]", '{"a": 1}', envelope("bad-lines:1"))
    done = publish(daemon, "--json", stdin=records.encode() + b"\xff\n")
    assert done.code == 1
    assert counted(done.json) == {"accepted": 2, "unreadable": 4}
    places = {place for trouble in troubles(done.json) for place in _list(trouble[4])}
    assert places == {"stdin:3:10", "stdin:4", "stdin:5", "stdin:7:1"}
    assert stored(daemon, "bad-lines:") == 2


def _list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value


def test_bytes_go_out_as_they_stand_in_the_file(daemon: DaemonProcess) -> None:
    """A repeated key is for the gate to refuse, not for the command line to repair."""
    record = json.dumps(envelope("repeated-key:0")).replace('"status": "ok"', '"status": "ok", "status": "ok"')
    answer = told(daemon, stdin=record)
    assert [trouble[2] for trouble in troubles(answer)] == ["duplicate_key"]


def test_what_the_server_cannot_take_is_not_published(daemon: DaemonProcess) -> None:
    answer = told(daemon, stdin=lines(envelope("rejected:0") | {"kind": "no kind"}, envelope("rejected:1")))
    assert counted(answer) == {"accepted": 1, "rejected": 1}


def test_a_pretty_array_and_documents_one_after_another_are_read(daemon: DaemonProcess, tmp_path: Path) -> None:
    array, documents = tmp_path / "array.json", tmp_path / "documents.json"
    array.write_text(json.dumps([envelope(f"array:{number}") for number in range(3)], indent=2))
    documents.write_text("\n".join(json.dumps(envelope(f"documents:{number}"), indent=2) for number in range(3)))
    assert counted(told(daemon, array, documents)) == {"accepted": 6}
    assert (stored(daemon, "array:"), stored(daemon, "documents:")) == (3, 3)


def test_what_data_holds_cannot_steer_the_terminal(daemon: DaemonProcess) -> None:
    done = publish(daemon, stdin=lines(envelope("steering:0", **{"\x1b[2J[red]x": 1})))
    assert done.code == 1
    assert "\x1b" not in done.out
    assert "payload.\\x1b[2J[red]x" in done.out


# -- bare payloads and version 1


def test_bare_payloads_are_wrapped_and_keyed_by_their_hash(daemon: DaemonProcess) -> None:
    records = lines(*(payload(number, agent="hashed") for number in range(5)))
    assert counted(told(daemon, "--wrap", "session.usage", stdin=records)) == {"accepted": 5}
    assert counted(told(daemon, "--wrap", "session.usage", stdin=records)) == {"duplicate": 5}


def test_the_message_id_of_a_payload_may_be_one_of_its_fields(daemon: DaemonProcess) -> None:
    records = lines(payload(1, session_id="by-field-1"), payload(2, session_id=None))
    answer = told(daemon, "--wrap", "session.usage", "--message-id-field", "session_id", stdin=records)
    assert counted(answer) == {"accepted": 1, "unreadable": 1}
    assert stored(daemon, "by-field-1") == 1


def test_equal_payloads_can_be_told_apart_by_their_lines(daemon: DaemonProcess, tmp_path: Path) -> None:
    file = tmp_path / "equal payloads.jsonl"
    file.write_text(lines(payload(1, agent="by-line"), payload(1, agent="by-line")))
    arguments = (file, "--wrap", "session.usage", "--schema-version", "2.0", "--message-id-by-line")
    assert counted(told(daemon, *arguments)) == {"accepted": 2}
    assert counted(told(daemon, *arguments)) == {"duplicate": 2}


def test_a_wrapped_payload_is_refused_as_it_stands(daemon: DaemonProcess) -> None:
    answer = told(daemon, "--wrap", "session.usage", stdin=lines(payload(1, nonsense=1)))
    assert [trouble[1] for trouble in troubles(answer)] == ["payload.nonsense"]


def test_version_1_goes_to_the_kind_that_is_named_and_is_keyed_by_its_payload(daemon: DaemonProcess) -> None:
    records = lines(*(envelope_1(number, agent="version-1") for number in range(3)))
    assert counted(told(daemon, "--kind", "session.usage", stdin=records)) == {"accepted": 3}
    assert counted(told(daemon, "--kind", "session.usage", stdin=records)) == {"duplicate": 3}

    nameless = publish(daemon, stdin=records)
    assert nameless.code == 1
    assert "an envelope of version 1 names no kind: say it with --kind" in nameless.out


# -- pipes, receipts, interruptions


def test_a_pipe_is_passed_on_as_it_comes(daemon: DaemonProcess) -> None:
    with started("publish", "--json", "--config", daemon.config) as running:
        assert running.stdin is not None
        running.stdin.write(lines(envelope("pipe:0")))
        running.stdin.flush()
        eventually(lambda: stored(daemon, "pipe:") == 1)
        assert running.poll() is None
        out, _ = running.communicate(lines(envelope("pipe:1")), timeout=60)
    assert counted(json.loads(out)) == {"accepted": 2}


def test_without_receipts_the_stream_s_word_is_enough(daemon: DaemonProcess, tmp_path: Path) -> None:
    file = many(tmp_path / "usage.jsonl", 50, "unasked")
    done = publish(daemon, file, "--no-receipts", "--json")
    assert done.code == 0
    assert counted(done.json) == {"stored": 50}
    eventually(lambda: stored(daemon, "unasked:") == 50)


def test_a_server_can_be_named_by_its_url(daemon: DaemonProcess, tmp_path: Path) -> None:
    done = headgate("publish", "--nats-url", daemon.nats_url, "--json", stdin=lines(envelope("by-url:0")), cwd=tmp_path)
    assert done.code == 0, done.err
    assert counted(done.json) == {"accepted": 1}


def test_a_daemon_that_says_nothing_is_given_up_with_the_records_named_so(tmp_path: Path) -> None:
    with running_daemon(tmp_path / "home") as daemon:
        daemon.signal(signal.SIGSTOP)
        done = publish(daemon, "--timeout", "1", "--json", stdin=lines(envelope("silent:0")))
        assert done.code == 1
        assert counted(done.json) == {"no_receipt": 1}
        assert done.json["stopped"] == "no receipt came for 1 s"
        daemon.signal(signal.SIGCONT)


def test_an_interrupted_run_says_how_far_it_came(tmp_path: Path) -> None:
    with (
        running_daemon(tmp_path / "home") as daemon,
        started("publish", "--json", "--config", daemon.config) as running,
    ):
        assert running.stdin is not None
        running.stdin.write(lines(envelope("interrupted:0")))
        running.stdin.flush()
        eventually(lambda: stored(daemon, "interrupted:") == 1)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    answer = json.loads(out)
    assert answer["stopped"] == "interrupted"
    assert answer["published"] == 1
    assert "Traceback" not in err


# -- outages


def test_a_full_stream_is_waited_for(tmp_path: Path) -> None:
    file = many(tmp_path / "usage.jsonl", 2_500, "full")
    with running_daemon(tmp_path / "home", "[nats]\nstream_max_bytes = 1048576\n") as daemon:
        daemon.signal(signal.SIGSTOP)
        with started("publish", file, "--json", "--config", daemon.config) as running:
            assert running.stderr is not None
            said = running.stderr.readline()
            daemon.signal(signal.SIGCONT)
            out, _ = running.communicate(timeout=90)
        assert said == "headgate: the stream HG_INGEST is full until the daemon has caught up; waiting\n"
        assert counted(json.loads(out)) == {"accepted": 2_500}
        assert running.returncode == 0
        assert stored(daemon, "full:") == 2_500


def test_a_daemon_killed_on_the_way_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    count = 6_000
    file = many(tmp_path / "usage.jsonl", count, "killed")
    with (
        running_daemon(tmp_path / "home") as daemon,
        started("publish", file, "--json", "--config", daemon.config) as running,
    ):
        for enough in (count // 20, count // 3):
            eventually(partial(_has_stored, daemon, "killed:", enough))
            daemon.kill9()
            daemon.start()
        out, err = running.communicate(timeout=110)
        answer = json.loads(out)
        assert running.returncode == 0, err
        assert answer["accepted"] + answer["duplicate"] == count
        assert stored(daemon, "killed:") == count


def test_a_nats_server_killed_on_the_way_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    count = 6_000
    file = many(tmp_path / "usage.jsonl", count, "server")
    with (
        running_daemon(tmp_path / "home") as daemon,
        started("publish", file, "--json", "--config", daemon.config) as running,
    ):
        eventually(lambda: stored(daemon, "server:") >= count // 20)
        daemon.kill_nats_server()
        out, err = running.communicate(timeout=110)
        answer = json.loads(out)
        assert running.returncode == 0, err
        assert answer["accepted"] + answer["duplicate"] == count
        assert stored(daemon, "server:") == count


# -- what is asked wrongly


def test_without_a_daemon_it_is_one_line_and_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")
    done = headgate("publish", stdin=lines(envelope("nobody:0")), cwd=tmp_path)
    assert (done.code, done.out) == (3, "")
    assert done.err == f"no daemon is running on {tmp_path}/var (start one: headgate serve)\n"


def test_files_that_cannot_be_read_stop_it_before_anything_is_published(daemon: DaemonProcess, tmp_path: Path) -> None:
    done = publish(daemon, many(tmp_path / "good.jsonl", 1, "unread"), tmp_path / "absent.jsonl", tmp_path)
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines() == [
        f"{tmp_path}/absent.jsonl: cannot be read: No such file or directory",
        f"{tmp_path}: cannot be read: Is a directory",
    ]
    assert stored(daemon, "unread:") == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--wrap", "no.such.kind"),
        ("--wrap", "session.usage", "--kind", "session.usage"),
        ("--wrap", "session.usage", "--message-id-field", "a", "--message-id-by-line"),
        ("--schema-version", "2.0"),
        ("--format", "csv"),
    ],
    ids=" ".join,
)
def test_options_that_contradict_each_other_are_exit_code_4(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = headgate("publish", *arguments, cwd=tmp_path)
    assert (done.code, done.out) == (4, "")
    assert "Traceback" not in done.err


def test_nothing_to_publish_is_no_failure(daemon: DaemonProcess) -> None:
    done = publish(daemon, stdin="\n\n")
    assert done.code == 0
    assert done.out.startswith("0 records in")
