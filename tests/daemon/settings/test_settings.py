"""Settings: one file, overridable from the environment, judged whole; every fault is one line without the value."""

import re
import tomllib
from datetime import date
from pathlib import Path

import pytest
from pydantic import BaseModel

from contracts.values.work import WorkType
from daemon.settings.faults import all_keys, dotted
from daemon.settings.loading import load_settings
from daemon.settings.model import Settings
from daemon.settings.pipeline import BridgeModelSettings, NotifierSettings
from daemon.settings.values import without_credentials
from tests.daemon.settings.settings_files import LONG_SECRET, SECRET, Write, lines_of

REPOSITORY = Path(__file__).resolve().parents[3]


# --- the file of the repository


def test_the_file_of_the_repository_names_every_setting() -> None:
    document = tomllib.loads((REPOSITORY / "config.toml").read_text())

    def has(path: tuple[str, ...]) -> bool:
        table: object = document
        for key in path:
            if not isinstance(table, dict) or key not in table:
                return False
            table = table[key]
        return True

    named_by_operators = {("notifiers",), ("bridge", "replicate", "models")}
    missing = [dotted(path) for path in all_keys(Settings) if path not in named_by_operators and not has(path)]
    assert missing == []


@pytest.mark.parametrize(
    ("name", "model"), [("notifiers", NotifierSettings), ("bridge.replicate.models", BridgeModelSettings)]
)
def test_tables_that_operators_name_stand_in_the_file_as_examples(name: str, model: type[BaseModel]) -> None:
    text = (REPOSITORY / "config.toml").read_text()
    example = re.search(rf"^# \[{re.escape(name)}\..+\]\n((?:# .+\n)+)", text, re.MULTILINE)
    assert example is not None
    assert set(re.findall(r"^# (\w+) =", example[1], re.MULTILINE)) == set(model.model_fields)


def test_the_values_in_the_file_of_the_repository_are_the_defaults(write: Write) -> None:
    same_folder = write((REPOSITORY / "config.toml").read_text())
    empty = same_folder.with_name("empty.toml")
    empty.write_text("")
    assert load_settings(same_folder, {}) == load_settings(empty, {})


def test_without_a_file_the_defaults_hold_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(None, {})
    assert settings.daemon.state_dir == tmp_path / "var"
    assert settings.auth.mode == "none"
    assert settings.nats.mode == "embedded"


def test_a_file_in_the_current_folder_is_found_without_being_named(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write("[log]\nlevel = 'debug'").parent)
    assert load_settings(None, {}).log.level == "debug"


# --- values


def test_relative_paths_start_from_the_folder_of_the_file(write: Write) -> None:
    path = write(
        """
        [daemon]
        state_dir = "state"
        [nats]
        store_dir = "/srv/nats"
        [storage]
        url = "sqlite:///data/x.db"
        [pricing]
        files = ["prices/own.toml"]
        """
    )
    settings = load_settings(path, {})
    assert settings.daemon.state_dir == path.parent / "state"
    assert settings.nats.store_dir == Path("/srv/nats")
    assert settings.storage.url == f"sqlite:///{path.parent}/data/x.db"
    assert settings.pricing.files == (path.parent / "prices/own.toml",)
    assert settings.backup.dir == path.parent / "var/backups"


def test_paths_from_the_environment_start_from_the_folder_of_the_file_too(write: Write) -> None:
    path = write("")
    settings = load_settings(
        path, {"HEADGATE_DAEMON__STATE_DIR": "elsewhere", "HEADGATE_STORAGE__URL": "sqlite:///y.db"}
    )
    assert settings.daemon.state_dir == path.parent / "elsewhere"
    assert settings.storage.url == f"sqlite:///{path.parent}/y.db"


def test_an_absolute_database_stays_where_it_is(write: Write) -> None:
    assert load_settings(write('storage.url = "sqlite:////srv/x.db"'), {}).storage.url == "sqlite:////srv/x.db"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:password@db.example.org:5433/headgate",
        "postgresql://postgres:@/postgres?host=/run/postgresql",
    ],
)
def test_a_database_server_is_taken_as_it_is_written(write: Write, url: str) -> None:
    assert load_settings(write(f'storage.url = "{url}"'), {}).storage.url == url


def test_a_rule_that_is_set_in_part_keeps_its_own_defaults(write: Write) -> None:
    rules = load_settings(write("[alerts.rules.p95_runtime_ms]\nwarning = 5\n"), {}).alerts.rules
    assert (rules.p95_runtime_ms.warning, rules.p95_runtime_ms.critical) == (5, 1_200_000)
    assert rules.failure_rate.warning == 0.05


def test_the_deadline_of_a_type_of_work_is_under_its_quoted_name(write: Write) -> None:
    work = load_settings(write('[work."job.process"]\ndeadline_s = 7\n'), {}).work
    assert work.deadlines_s()["job.process"] == 7
    assert work.deadlines_s()["publish"] == 600


def test_every_type_of_work_has_a_deadline() -> None:
    assert set(Settings().work.deadlines_s()) == set(WorkType)


def test_an_empty_day_means_no_end_of_compat_mode(write: Write) -> None:
    assert load_settings(write('contracts.compat_until = ""'), {}).contracts.compat_until is None
    assert load_settings(write("contracts.compat_until = 2026-12-31"), {}).contracts.compat_until == date(2026, 12, 31)


def test_a_scan_command_may_be_a_line_or_a_list(write: Write) -> None:
    line = load_settings(write("assets.scan_command = \"scan 'a b' -\""), {})
    words = load_settings(write('assets.scan_command = ["scan", "a b", "-"]'), {})
    assert line.assets.scan_command == words.assets.scan_command == ("scan", "a b", "-")


# --- the environment


def test_the_environment_wins_over_the_file(write: Write) -> None:
    path = write('[log]\nlevel = "error"\n[nats]\nport = 1\n')
    settings = load_settings(
        path,
        {
            "HEADGATE_LOG__LEVEL": "debug",
            "HEADGATE_NATS__PORT": "4333",
            "HEADGATE_IMPORTS__ENABLED": "false",
            "HEADGATE_SELF_HEAL__INTERVAL_S": "0.5",
            "HEADGATE_CONTRACTS__COMPAT_UNTIL": "2027-01-02",
            "HEADGATE_LIMITS__REPLY_PREFIXES": '["_INBOX.", "answers."]',
        },
    )
    assert settings.log.level == "debug"
    assert settings.nats.port == 4333
    assert settings.imports.enabled is False
    assert settings.self_heal.interval_s == 0.5
    assert settings.contracts.compat_until == date(2027, 1, 2)
    assert settings.limits.reply_prefixes == ("_INBOX.", "answers.")


def test_deep_keys_are_reached_by_further_underscores(write: Write) -> None:
    settings = load_settings(
        write(""),
        {
            "HEADGATE_WORK__JOB_PROCESS__DEADLINE_S": "11",
            "HEADGATE_WORK__SCREENSHOT.EXTRACT__DEADLINE_S": "12",
            "HEADGATE_ALERTS__RULES__STUCK_JOBS__WARNING": "3",
            "HEADGATE_NOTIFIERS__OPS__TYPE": "webhook",
            "HEADGATE_NOTIFIERS__OPS__URL": "http://127.0.0.1/x",
            "HEADGATE_NOTIFIERS__CHAT": '{"type": "slack", "url": "https://example.org/hook"}',
            "HEADGATE_BRIDGE__REPLICATE__TOKEN": "12345",
        },
    )
    assert settings.work.deadlines_s()["job.process"] == 11
    assert settings.work.deadlines_s()["screenshot.extract"] == 12
    assert settings.alerts.rules.stuck_jobs.warning == 3
    assert settings.notifiers["ops"].type == "webhook"
    assert settings.notifiers["chat"].type == "slack"
    assert settings.bridge.replicate.token.get_secret_value() == "12345"


def test_a_secret_that_looks_like_a_number_stays_text(write: Write) -> None:
    digits = "1" * 40
    settings = load_settings(write(""), {"HEADGATE_AUTH__JWT_SECRET": digits})
    assert settings.auth.jwt_secret.get_secret_value() == digits


def test_a_fault_from_the_environment_names_its_variable(write: Write) -> None:
    assert lines_of(write(""), {"HEADGATE_CONTRACTS__MAX_BYTES": "many", "HEADGATE_CALLBACKS__SECRETS": '["x"]'}) == [
        "HEADGATE_CONTRACTS__MAX_BYTES: must be a whole number",
        "HEADGATE_CALLBACKS__SECRETS: [0]: must be whsec_ followed by the base64 of 24 to 64 bytes",
    ]


def test_an_unknown_variable_is_refused_with_the_near_name(write: Write) -> None:
    assert lines_of(write(""), {"HEADGATE_CONTRACTS__MAX_BYTE": "1"}) == [
        "HEADGATE_CONTRACTS__MAX_BYTE: unknown key, did you mean contracts.max_bytes?"
    ]
    assert lines_of(write(""), {"HEADGATE_NATZ__PORT": "1"}) == [
        "HEADGATE_NATZ__PORT: unknown key, did you mean nats.port?"
    ]


def test_variables_that_platforms_invent_for_a_service_of_this_name_do_no_harm(write: Write) -> None:
    environment = {"HEADGATE_PORT": "tcp://10.0.0.1:4222", "HEADGATE_SERVICE_HOST": "10.0.0.1", "OTHER__KEY": "x"}
    assert load_settings(write(""), environment) == load_settings(write(""), {})


def test_a_variable_below_a_value_that_is_no_table_is_refused(write: Write) -> None:
    assert lines_of(write("nats = 3"), {"HEADGATE_NATS__PORT": "1"})[0] == (
        "HEADGATE_NATS__PORT: cannot be set, for what is above it is not a table"
    )


# --- secrets


def test_no_secret_is_shown_by_the_masked_settings_or_their_text(write: Write) -> None:
    settings = load_settings(
        write(
            f"""
            [auth]
            mode = "jwt"
            jwt_secret = "{LONG_SECRET}"
            [callbacks]
            secrets = ["{SECRET}"]
            [nats]
            mode = "external"
            url = "nats://user:hidden-1@10.0.0.1:4222,nats://hidden-2@10.0.0.2"
            [storage]
            url = "postgresql://me:hidden-3@db/x?password=hidden-4&sslmode=require"
            [notifiers.chat]
            type = "slack"
            url = "https://hooks.example.org/hidden-5"
            [notifiers.pager]
            type = "pagerduty"
            key = "hidden-6"
            [bridge.replicate]
            token = "hidden-7"
            [assets]
            url_secret = "hidden-8"
            """
        ),
        {},
    )
    for shown in (str(settings.masked()), repr(settings), str(settings)):
        assert "hidden" not in shown
        assert LONG_SECRET not in shown
        assert SECRET not in shown
    masked = settings.masked()
    assert isinstance(masked["nats"], dict)
    assert masked["nats"]["url"] == "nats://***@10.0.0.1:4222,nats://***@10.0.0.2"
    assert isinstance(masked["storage"], dict)
    assert masked["storage"]["url"] == "postgresql://***@db/x?password=***&sslmode=require"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:a/b@db/x", "postgresql://***@db/x"),
        ("postgresql://me:a@b@db/x", "postgresql://***@db/x"),
        ("postgresql://me:1?a@db/x", "postgresql://***@db/x"),
        (
            "postgresql://db/x?sslpassword=a&PassWord=b&application_name=c",
            "postgresql://db/x?sslpassword=***&PassWord=***&application_name=c",
        ),
        ("postgresql://db/x?pass%77ord=a", "postgresql://db/x?pass%77ord=***"),
        ("nats://a:b,c@one, tls://d@two:4222", "nats://***@one, tls://***@two:4222"),
        ("https://me:a@api.example.org/v1?token=b", "https://***@api.example.org/v1?token=***"),
        ("sqlite:////srv/me@home/x.db", "sqlite:////srv/me@home/x.db"),
    ],
)
def test_secrets_in_urls_are_struck_out_however_they_are_written(url: str, shown: str) -> None:
    assert without_credentials(url) == shown
