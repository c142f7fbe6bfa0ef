"""A settings file of the test's own."""

from pathlib import Path

import pytest

from tests.daemon.settings.settings_files import Write


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def file(text: str) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text)
        return path

    return file
