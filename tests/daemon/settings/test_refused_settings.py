"""Bad settings: every fault is one line without the value, and all are told at once."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from daemon.settings.loading import load_settings
from storage.engine.postgres.url import KNOWN
from tests.daemon.settings.settings_files import LONG_SECRET, SECRET, Write, fault, lines_of


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
