"""Settings: one file, overridable from the environment, judged whole; every fault is one line without the value."""

import base64
import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import BaseModel

from contracts.values.work import WorkType
from daemon.errors import StartError
from daemon.settings.faults import all_keys, dotted
from daemon.settings.loading import load_settings
from daemon.settings.model import Settings
from daemon.settings.pipeline import BridgeModelSettings, NotifierSettings
from daemon.settings.values import without_credentials
from storage.engine.postgres_url import KNOWN

REPOSITORY = Path(__file__).resolve().parents[3]
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
LONG_SECRET = "an-owner-secret-of-more-than-32-bytes"

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def file(text: str) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text)
        return path

    return file


def lines_of(path: Path | None, environment: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(StartError) as caught:
        load_settings(path, environment or {})
    return list(caught.value.lines)


def fault(write: Write, text: str) -> str:
    """The one line that *text* is refused with, without the name of the file."""
    path = write(text)
    (line,) = lines_of(path)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line.removeprefix(f"{path}: ")


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


# --- refusals


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[contracts]\nmax_bytez = 1", "contracts.max_bytez: unknown key, did you mean contracts.max_bytes?"),
        ("[contract]\nmode = 'strict'", "contract: unknown key, did you mean contracts?"),
        ("[nats]\nbusy_timeout_ms = 1", "nats.busy_timeout_ms: unknown key, did you mean storage.busy_timeout_ms?"),
        ("[log]\nqqqq = 1", "log.qqqq: unknown key"),
        ("[work.'job.proces']\ndeadline_s = 1", 'work."job.proces": unknown key, did you mean work."job.process"?'),
        ("[alerts.rules.failure_rates]\nwarning=1",
         "alerts.rules.failure_rates: unknown key, did you mean alerts.rules.failure_rate?"),
        ("[alerts.rules.failure_rate]\nwarn=1",
         "alerts.rules.failure_rate.warn: unknown key, did you mean alerts.rules.failure_rate.warning?"),
        ("[notifiers.a]\ntype='slack'\nurl='http://x'\nurll='y'",
         "notifiers.a.urll: unknown key, did you mean notifiers.a.url?"),
        ("nats = 1", "nats: must be a table"),
        ("notifiers = 1", "notifiers: must be a table"),
        ("alerts.rules = 1", "alerts.rules: must be a table"),
        ("[nats]\nport = '80'", "nats.port: must be a whole number"),
        ("[nats]\nport = 4.5", "nats.port: must be a whole number"),
        ("[nats]\nport = true", "nats.port: must be a whole number"),
        ("[nats]\nport = 65536", "nats.port: must be 65535 or less"),
        ("[nats]\nmode = 'both'", "nats.mode: must be 'embedded' or 'external'"),
        ("[nats]\nprefix = 'a.b'", "nats.prefix: must be 1 to 32 letters, digits, dashes or underscores"),
        ("[nats]\nprefix = ''", "nats.prefix: must be 1 to 32 letters, digits, dashes or underscores"),
        ("[nats]\nurl = 'http://x'",
         "nats.url: must be one or more URLs (separated by commas) such as nats://host:4222"),
        ("[nats]\nurl = 'nats://x:port'", "nats.url: must be a URL with a valid host and port"),
        ("[nats]\nreplicas = 3", "nats.replicas: must be 1 with the embedded server, which stands alone"),
        ("[nats]\nmode='external'\ncredentials='none.creds'", "nats.credentials: must be a file that can be read"),
        ("[storage]\nurl = 'mysql://x'",
         "storage.url: must be sqlite:///relative.db, sqlite:////absolute.db or postgresql://..."),
        ("[storage]\nurl = 'sqlite:///'",
         "storage.url: must name a database file: sqlite:///relative.db or sqlite:////absolute.db"),
        ("[storage]\nurl = 'sqlite:///:memory:'",
         "storage.url: must name a database file: sqlite:///relative.db or sqlite:////absolute.db"),
        ("[storage]\nurl = 'postgresql:///x'",
         "storage.url: must name a host: postgresql://user:password@host/database"),
        ("[storage]\nurl = 'postgresql://host/x?ssl=1'",
         f"storage.url: has ssl (sslmode is meant), which is not among the words taken here: {', '.join(KNOWN)}"),
        ("[daemon]\nstate_dir = 5", "daemon.state_dir: must be a path in quotes"),
        ('[daemon]\nstate_dir = "a\\u0000b"', "daemon.state_dir: must not contain a null character"),
        ("[imports]\nenabled = 1", "imports.enabled: must be true or false"),
        ("[self_heal]\ninterval_s = 0", "self_heal.interval_s: must be more than 0"),
        ("[self_heal]\ninterval_s = nan", "self_heal.interval_s: must be a finite number"),
        ("[self_heal]\ninterval_s = '5'", "self_heal.interval_s: must be a number"),
        ("[contracts]\ncompat_until = 'soon'", "contracts.compat_until: must be a date such as 2026-12-31"),
        ("[contracts]\nmax_bytes = 10", "contracts.max_bytes: must be 1024 or more"),
        ("[intake]\nwindow = 10", "intake.window: must not be less than intake.max_batch"),
        ("[auth]\njwt_secret = 'short'", "auth.jwt_secret: must be 32 bytes or more"),
        ("[auth]\njwt_public_key = 'x'", "auth.jwt_public_key: must be an Ed25519 public key in PEM"),
        ("[auth]\nold_jwt_secrets = ['short']", "auth.old_jwt_secrets[0]: must be 32 bytes or more"),
        ("[auth]\nold_jwt_public_keys = ['x']", "auth.old_jwt_public_keys[0]: must be an Ed25519 public key in PEM"),
        ("[auth]\ningest = 'jwt'", "auth.ingest: must not be jwt without auth.jwt_secret or auth.jwt_public_key"),
        ("[callbacks]\nsecrets = 'x'", 'callbacks.secrets: must be a list, such as ["a", "b"]'),
        ("[callbacks]\nsecrets = [1]", "callbacks.secrets[0]: must be text in quotes"),
        ("[limits]\nreply_prefixes = []", "limits.reply_prefixes: must have at least 1 value"),
        ("[limits]\nreply_prefixes = ['hg.answers']", "limits.reply_prefixes[0]: must not lie under nats.prefix"),
        ("[limits]\nreply_prefixes = ['hg']", "limits.reply_prefixes[0]: must not lie under nats.prefix"),
        ("[limits]\nreply_prefixes = ['$JS.']",
         "limits.reply_prefixes[0]: must be the beginning of a literal subject: no wildcard, no space, not under $"),
        ("[limits]\nreply_prefixes = ['a.*']",
         "limits.reply_prefixes[0]: must be the beginning of a literal subject: no wildcard, no space, not under $"),
        ("[alerts.rules.stuck_jobs]\nwarning = 60", "alerts.rules.stuck_jobs.critical: must not be less than warning"),
        ("[alerts.rules.failure_rate]\ncritical = 5",
         "alerts.rules.failure_rate.critical: must be a fraction: 0.05 is five per cent"),
        ("[notifiers.a]\nurl = 'http://x'", "notifiers.a.type: must be set"),
        ("[notifiers.a]\ntype = 'slack'", "notifiers.a.url: must be set for the type slack"),
        ("[notifiers.a]\ntype = 'webhook'\nurl = 'http://x'\nkey = 'abc'",
         "notifiers.a.key: must be whsec_ followed by the base64 of 24 to 64 bytes"),
        (f"[notifiers.a]\ntype = 'webhook'\nurl = 'http://x'\nold_keys = ['whsec_{'QUJD' * 10}']",
         "notifiers.a.old_keys: must stand beside the key of a webhook"),
        ("[notifiers.a]\ntype = 'pagerduty'", "notifiers.a.key: must be set for the type pagerduty"),
        ("[notifiers.a]\ntype = 'slack'\nurl = 'ftp://x'",
         "notifiers.a.url: must be a URL that begins with http:// or https://"),
        ("[notifiers.'a b']\ntype='slack'\nurl='http://x'", 'notifiers."a b": must match ^[a-z0-9_-]{1,50}$'),
        ("[bridge.replicate]\nwork = ['x']",
         ("bridge.replicate.work[0]: must be one of job.process, job.render, item.analyse, publish, "
          "instruction.regenerate, screenshot.extract")),
        ("[bridge.replicate]\nwork = ['job.render']",
         'bridge.replicate.models."job.render": must be set, for bridge.replicate.work names it'),
        ("[assets]\nscan_command = \"scan 'a\"", "assets.scan_command: must be a command whose quotes are closed"),
        ("[http]\nhost = ''", "http.host: must not be empty"),
        ("[retention]\nsession_events = -1", "retention.session_events: must be 0 or more"),
    ],
)  # fmt: skip
def test_a_bad_setting_is_one_line_that_says_what_it_must_be(write: Write, text: str, line: str) -> None:
    assert fault(write, text) == line


@pytest.mark.parametrize(
    "secret",
    [
        "no-prefix",
        base64.b64encode(bytes(32)).decode(),
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        "whsec_not base64!",
        "whsec_",
    ],
)
def test_a_callback_secret_that_is_not_one_is_refused_without_being_shown(write: Write, secret: str) -> None:
    line = fault(write, f'[callbacks]\nsecrets = ["{SECRET}", "{secret}"]')
    assert line == "callbacks.secrets[1]: must be whsec_ followed by the base64 of 24 to 64 bytes"


@pytest.mark.parametrize("size", [24, 32, 64])
def test_a_callback_secret_has_24_to_64_bytes(write: Write, size: int) -> None:
    secret = "whsec_" + base64.b64encode(bytes(size)).decode()
    settings = load_settings(write(f'[callbacks]\nsecrets = ["{secret}"]'), {})
    assert [kept.get_secret_value() for kept in settings.callbacks.secrets] == [secret]


def test_all_faults_are_told_at_once(write: Write) -> None:
    path = write("[nats]\nport = 'x'\nmod = 1\n[http]\nport = -1\n")
    assert lines_of(path, {"HEADGATE_LOG__LEVEL": "loud"}) == [
        f"{path}: nats.port: must be a whole number",
        f"{path}: nats.mod: unknown key, did you mean nats.mode?",
        f"{path}: http.port: must be 0 or more",
        "HEADGATE_LOG__LEVEL: must be 'debug', 'info', 'warning' or 'error'",
    ]


def test_tokens_need_a_key_and_signed_callbacks(write: Write) -> None:
    path = write("[auth]\nmode = 'jwt'\n")
    assert lines_of(path) == [
        f"{path}: auth.mode: must not be jwt without auth.jwt_secret or auth.jwt_public_key",
        f"{path}: callbacks.secrets: must have at least one secret, unless auth.mode is none",
    ]


def test_a_secret_or_a_public_key_is_enough_for_tokens(write: Write) -> None:
    pem = (
        Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    )
    callbacks = f'[callbacks]\nsecrets = ["{SECRET}"]\n'
    by_secret = load_settings(write(f'[auth]\nmode = "jwt"\njwt_secret = "{LONG_SECRET}"\n{callbacks}'), {})
    by_key = load_settings(write(f'[auth]\nmode = "jwt"\njwt_public_key = """{pem}"""\n{callbacks}'), {})
    assert by_secret.auth.jwt_secret.get_secret_value() == LONG_SECRET
    assert by_key.auth.jwt_public_key == pem


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.1.2.3"])
def test_everybody_is_local_only_where_nats_is_on_loopback(write: Write, host: str) -> None:
    assert load_settings(write(f'[nats]\nmode = "external"\nurl = "nats://{host}:4222"'), {}).auth.mode == "none"


@pytest.mark.parametrize("url", ["nats://10.0.0.1:4222", "nats://nats.example.org", "nats://127.0.0.1,nats://10.0.0.1"])
def test_everybody_is_local_is_refused_where_others_reach_nats(write: Write, url: str) -> None:
    line = fault(write, f'[nats]\nmode = "external"\nurl = "{url}"')
    assert line == "auth.mode: must be jwt, for nats.url is not a loopback address"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"[nats\n", "is not TOML: "), (b"\xff\xfe", "is not UTF-8 text")],
)
def test_a_file_that_is_no_toml_is_one_line(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    (line,) = lines_of(path)
    assert line.startswith(f"{path}: {reason}")


def test_a_named_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    assert lines_of(tmp_path / "none.toml") == [f"{tmp_path / 'none.toml'}: cannot be read: No such file or directory"]
    assert lines_of(tmp_path) == [f"{tmp_path}: cannot be read: Is a directory"]


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
