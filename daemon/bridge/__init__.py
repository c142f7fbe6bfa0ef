"""The provider bridge: a worker for providers that must be polled (``headgate bridge replicate``)."""

from daemon.bridge.process import run

__all__ = ["run"]
