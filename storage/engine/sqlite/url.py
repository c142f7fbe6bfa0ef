"""The file that an SQLite URL names, taken as it is written: a path may hold any character that the file system takes,
and nothing in it is decoded."""

from pathlib import Path
from typing import Final

_SCHEME: Final = "sqlite:///"


def sqlite_file(url: str) -> Path | None:
    """The file of ``sqlite:///relative.db`` or ``sqlite:////absolute.db``; None for the URL of a server."""
    return Path(url.removeprefix(_SCHEME)) if url.startswith(_SCHEME) else None
