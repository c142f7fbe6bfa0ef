"""A secret of the daemon's own, made at its first start and kept beside its state."""

import os
import secrets
from pathlib import Path
from typing import Final

from daemon.errors import StartError

_NAME: Final = "url-secret"
_BYTES: Final = 32


def own_secret(state_dir: Path) -> bytes:
    """The secret in *state_dir*, readable by its owner alone. Raises :class:`StartError` where it cannot be kept."""
    file = state_dir / _NAME
    try:
        if file.exists() and len(kept := file.read_bytes()) >= _BYTES:
            return kept
        made = secrets.token_urlsafe(_BYTES).encode()
        draft = state_dir / f".{_NAME}.{os.getpid()}"
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as written:
            written.write(made)
            os.fsync(written.fileno())
        draft.replace(file)
    except OSError as error:
        raise StartError(f"{file}: cannot be kept: {error.strerror}") from None
    return made
