"""A secret of the daemon's own, made at its first start and kept beside its state."""

import secrets
from pathlib import Path
from typing import Final

from daemon.errors import StartError
from daemon.process.state_files import read_own, write_own

_NAME: Final = "url-secret"
_BYTES: Final = 32


def own_secret(state_dir: Path) -> bytes:
    """The secret in *state_dir*, readable by its owner alone. Raises :class:`StartError` where it cannot be kept."""
    file = state_dir / _NAME
    try:
        kept = read_own(file)
        if kept is not None and len(kept) >= _BYTES:
            return kept
        made = secrets.token_urlsafe(_BYTES).encode()
        write_own(file, made)
    except OSError as error:
        raise StartError(f"{file}: cannot be kept: {error.strerror}") from None
    return made
