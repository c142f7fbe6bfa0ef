"""The one place that reads the wall clock and makes ids."""

import time

import uuid_utils


def now_micros() -> int:
    """The wall clock in microseconds since the epoch, UTC."""
    return time.time_ns() // 1_000


def new_id() -> str:
    """A fresh UUIDv7: unique, and sortable by the moment it was made."""
    return str(uuid_utils.uuid7())
