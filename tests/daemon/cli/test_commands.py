"""The command line as its users meet it: a process, its output, its exit code."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.command_line import Done, headgate

Run = Callable[..., Done]

BAD = """
[nats]
port = "80"
[contracts]
max_bytez = 1
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the installed command in an empty folder."""

    def command(*arguments: str, environment: Mapping[str, str] | None = None) -> Done:
        return headgate(*arguments, cwd=tmp_path, variables={"COLUMNS": "200", **(environment or {})})

    return command


@pytest.mark.fresh
def test_help_names_every_command(run: Run) -> None:
    done = run("--help")
    assert done.code == 0
    for name in ("serve", "check-config", "migrate", "contracts", "publish", "ops", "watch", "bench"):
        assert name in done.out


@pytest.mark.fresh
@pytest.mark.parametrize(
    "command",
    [("serve",), ("check-config",), ("migrate",), ("contracts", "export"), ("publish",), ("ops",), ("watch",)],
    ids=" ".join,
)
def test_every_command_takes_the_settings_file_and_json(run: Run, command: tuple[str, ...]) -> None:
    done = run(*command, "--help")
    assert done.code == 0
    assert "--config" in done.out
    assert "--json" in done.out


@pytest.mark.fresh
@pytest.mark.parametrize("command", [("serve",), ("check-config",), ("migrate", "status")], ids=" ".join)
def test_bad_settings_are_one_line_each_and_exit_code_1(run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "config.toml").write_text(BAD)
    done = run(*command, environment={"HEADGATE_LOG__LEVEL": "loud"})
    assert done.code == 1
    assert done.out == ""
    assert done.err.splitlines() == [
        "config.toml: nats.port: must be a whole number",
        "config.toml: contracts.max_bytez: unknown key, did you mean contracts.max_bytes?",
        "HEADGATE_LOG__LEVEL: must be 'debug', 'info', 'warning' or 'error'",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


def test_faults_are_json_too_where_json_was_asked_for(run: Run, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(BAD)
    done = run("check-config", "--config", "other.toml", "--json")
    assert done.code == 1
    assert json.loads(done.out)["errors"] == done.err.splitlines()
    assert len(done.err.splitlines()) == 2


def test_a_settings_file_that_is_named_and_absent_is_one_line(run: Run) -> None:
    done = run("serve", "--config", "none.toml")
    assert (done.code, done.err) == (1, "none.toml: cannot be read: No such file or directory\n")


def test_what_a_settings_file_holds_cannot_steer_the_terminal(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('"a\\u001b[2Jb" = 1')
    done = run("check-config")
    assert done.code == 1
    assert done.err == 'config.toml: "a\\x1b[2Jb": unknown key\n'


def test_check_config_shows_what_is_in_effect(run: Run, tmp_path: Path) -> None:
    done = run(
        "check-config", "--json", environment={"HEADGATE_AUTH__JWT_SECRET": "s" * 40, "HEADGATE_NATS__PORT": "7"}
    )
    assert done.code == 0
    assert "sss" not in done.out
    shown = json.loads(done.out)
    assert shown["nats"]["port"] == 7
    assert shown["auth"]["jwt_secret"] == "**********"
    assert shown["daemon"]["state_dir"] == str(tmp_path / "var")


def test_check_config_is_readable_without_json(run: Run) -> None:
    done = run("check-config")
    assert done.code == 0
    lines = done.out.splitlines()
    assert 'nats.mode = "embedded"' in lines
    assert 'work."job.process".deadline_s = 1800.0' in lines
    assert 'limits.reply_prefixes = ["_INBOX."]' in lines


@pytest.mark.parametrize(
    "arguments",
    [("serve", "--nonsense"), ("nonsense",), ("migrate", "sideways"), ("migrate", "down"), ("migrate", "up", "-1")],
    ids=" ".join,
)
def test_what_is_asked_wrongly_is_exit_code_4_and_no_traceback(run: Run, arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.code == 4
    assert done.out == ""
    assert done.err != ""
    assert "Traceback" not in done.err


@pytest.mark.fresh
def test_the_version_is_that_of_the_package(run: Run) -> None:
    done = run("--version")
    assert (done.code, done.out) == (0, f"headgate {version('headgate')}\n")


@pytest.mark.parametrize(
    "command", [(), ("serve",), ("ops",), ("ask",), ("watch",), ("dead-letters", "list")], ids=" ".join
)
def test_h_is_help(run: Run, command: tuple[str, ...]) -> None:
    assert run(*command, "-h").out == run(*command, "--help").out != ""


@pytest.mark.fresh
def test_migrate_goes_up_says_where_it_stands_and_goes_down(run: Run, tmp_path: Path) -> None:
    for command in (("migrate",), ("migrate", "status"), ("migrate", "down", "-1")):
        absent = run(*command)
        (line,) = absent.err.splitlines()
        assert (absent.code, line.partition(": ")[2]) == (
            1, f"there is no database at {tmp_path}/var/headgate.db (headgate migrate up --create makes one)"
        )  # fmt: skip
        assert not (tmp_path / "var").exists()

    up = run("migrate", "--create", "--json")
    assert up.code == 0, up.err
    head = json.loads(up.out)["head"]
    assert json.loads(up.out) == {"current": head, "head": head, "up_to_date": True}
    with sqlite3.connect(tmp_path / "var" / "headgate.db") as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert {"inbox", "outbox", "dead_letters"} <= tables

    assert run("migrate", "status").out == f"revision {head}, up to date\n"

    down = run("migrate", "down", "-1", "--json")
    assert down.code == 0, down.err
    assert json.loads(down.out)["current"] != head
    assert json.loads(run("migrate", "status", "--json").out)["up_to_date"] is False


def test_a_revision_that_does_not_exist_is_one_line(run: Run) -> None:
    assert run("migrate", "--create").code == 0
    done = run("migrate", "down", "no-such-revision")
    assert done.code == 1
    assert len(done.err.splitlines()) == 1
    assert "no-such-revision" in done.err


def a_text_file(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is a text file" * 100)


def a_folder(path: Path) -> None:
    path.mkdir(parents=True)


def a_file_for_a_folder(path: Path) -> None:
    path.parent.write_text("")


@pytest.mark.parametrize("occupy", [a_text_file, a_folder, a_file_for_a_folder], ids=lambda occupy: occupy.__name__)
def test_a_database_that_is_none_is_one_line(run: Run, tmp_path: Path, occupy: Callable[[Path], None]) -> None:
    occupy(tmp_path / "var" / "headgate.db")
    done = run("migrate", "--create")
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert line.startswith(f"sqlite:///{tmp_path}/var/headgate.db: ")


def test_the_terminal_libraries_are_not_loaded_for_the_daemon() -> None:
    program = (
        "import sys; from daemon.cli import main\n"
        "try: main(['serve', '--config', 'none.toml'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'typer', 'click', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=180, check=True)
    assert done.stdout == "[]\n"
