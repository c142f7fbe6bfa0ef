"""Settings files, and the lines that a bad one is refused with."""

import base64
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from daemon.errors import StartError
from daemon.settings.loading import load_settings

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
LONG_SECRET = "an-owner-secret-of-more-than-32-bytes"

Write = Callable[[str], Path]


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
