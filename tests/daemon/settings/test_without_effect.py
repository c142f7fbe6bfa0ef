"""Settings that were changed and say nothing are told; those that say something, and defaults, are not."""

from pathlib import Path

from daemon.settings.loading import load_settings
from daemon.settings.without_effect import settings_without_effect

REPOSITORY = Path(__file__).resolve().parents[3]
PRUNED = {"inbox", "outbox"}


def told(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return [each.key for each in settings_without_effect(load_settings(path, {}), pruned=PRUNED)]


def test_what_is_not_read_under_the_other_settings_is_told(tmp_path: Path) -> None:
    assert told(tmp_path, "[nats]\nurl = 'nats://10.0.0.1:4222'\n[contracts]\ncompat_until = '2030-01-01'\n") == [
        "nats.url",
        "contracts.compat_until",
    ]
    assert told(tmp_path, "[nats]\nmode = 'external'\nsync = 'interval'\nstore_dir = '/elsewhere'\n") == [
        "nats.store_dir",
        "nats.sync",
    ]
    assert told(tmp_path, f"[auth]\njwt_secret = '{'x' * 32}'\n") == ["auth.jwt_secret"]
    assert told(tmp_path, "[retention]\noutbox = 3\nexports = 3\n") == ["retention.exports"]


def test_of_what_is_read_and_of_defaults_nothing_is_told(tmp_path: Path) -> None:
    assert told(tmp_path, "[nats]\nport = 4222\n[contracts]\nmode = 'compat'\ncompat_until = '2030-01-01'\n") == []
    assert told(tmp_path, (REPOSITORY / "config.toml").read_text()) == []
