"""The settings: one TOML file, each key overridable from the environment, judged as a whole before anything starts.

``HEADGATE_<SECTION>__<KEY>`` overrides ``[section] key``; lists and tables are written as JSON. Relative paths start
from the folder of the file. Whatever is unknown or wrong becomes one line each, and no line repeats a value.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

from pydantic import ValidationError

from daemon.errors import StartError
from daemon.settings.environment import overlay
from daemon.settings.faults import Fault, Origins, faults_of
from daemon.settings.model import Settings
from daemon.settings.rules import broken_rules
from daemon.settings.values import BASE

Document: TypeAlias = dict[str, object]
DEFAULT_FILE: Final = Path("config.toml")


def load_settings(file: Path | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings from *file* and *environment*.

    Without *file* it is ``config.toml`` in the current folder, or, where there is none, the defaults from that folder.
    Raises :class:`StartError` with one line for each fault.
    """
    path = file or DEFAULT_FILE
    document = _read(path) if file or path.exists() else {}
    origins = Origins(file=str(path))
    faults = overlay(document, Settings, environment, origins)
    # A section that is not there is read as an empty table, so that its defaults pass through the same checks.
    complete = {name: {} for name in Settings.model_fields} | document
    try:
        settings = Settings.model_validate(complete, context={BASE: path.parent.absolute()})
    except ValidationError as error:
        raise _start_error([*faults, *faults_of(error, Settings)], origins) from None
    if faults := [*faults, *broken_rules(settings)]:
        raise _start_error(faults, origins)
    return settings


def _read(path: Path) -> Document:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StartError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise StartError(f"{path}: is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise StartError(f"{path}: is not TOML: {error}") from None


def _start_error(faults: list[Fault], origins: Origins) -> StartError:
    return StartError(*dict.fromkeys(origins.line(fault) for fault in faults))
