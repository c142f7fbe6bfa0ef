"""What all processes of one run of tests share: made by whoever needs it first, ended by whoever needs it last."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def folder_of_run(factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """One folder for all processes of this run of tests: a worker's own lies in it."""
    own = factory.getbasetemp()
    return own if worker_id == "master" else own.parent


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """One process at a time."""
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def shared(folder: Path, name: str, user: str, *, make: Callable[[], str], end: Callable[[str], None]) -> Iterator[str]:
    """What *make* answered to whichever process asked first; *end* gets it when no process uses it any more, and who
    asks after that makes another."""
    made, users, lock = folder / f"{name}.made", folder / f"{name}.users", folder / f"{name}.lock"
    with alone(lock):
        users.mkdir(exist_ok=True)
        if not made.exists():
            made.write_text(make(), encoding="utf-8")
        value = made.read_text(encoding="utf-8")
        (users / user).touch()
    try:
        yield value
    finally:
        with alone(lock):
            (users / user).unlink()
            if not any(users.iterdir()):
                made.unlink()
                end(value)
