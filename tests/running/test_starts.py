"""What a forked program has of a start: its arguments, its folder, its environment, its streams, its end."""

import signal
from pathlib import Path
from subprocess import TimeoutExpired

import pytest

from tests.support.command_line import headgate
from tests.support.daemons import running_daemon
from tests.support.starts.programs import Forked, Forks

pytestmark = pytest.mark.process


@pytest.fixture(params=[True, False], ids=["forked", "fresh"])
def forked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(Forks, "wanted", request.param)
    return bool(request.param)


def test_a_program_has_its_folder_its_environment_and_its_streams(forked: bool, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[nats]\nport = 7\n")
    shown = headgate("check-config", "--json", cwd=tmp_path, variables={"HEADGATE_HTTP__PORT": "8"}).json
    assert (shown["nats"], shown["http"]) == (shown["nats"] | {"port": 7}, shown["http"] | {"port": 8})  # type: ignore[operator]  # JSON

    wrong = headgate("check-config", "--nonsense", cwd=tmp_path)
    assert (wrong.code, wrong.out) == (4, "")
    assert "--nonsense" in wrong.err

    nobody = headgate("publish", "-", cwd=tmp_path, stdin=b"{}" * 100_000)
    assert nobody.code == 3


def test_a_daemon_is_waited_for_stopped_and_killed(forked: bool, tmp_path: Path) -> None:
    with running_daemon(tmp_path / "home") as daemon:
        assert isinstance(daemon._running(), Forked) == forked
        with pytest.raises(TimeoutExpired):
            daemon.wait_end(0.01)
        assert daemon.terminate() == 0
        daemon.start()
        daemon.kill9()
        assert daemon.wait_end() == -signal.SIGKILL
