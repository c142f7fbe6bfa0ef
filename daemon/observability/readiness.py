"""Whether the daemon is ready, and if not, for which reason: every loop that meets an obstacle says so here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A dependency that is away, in words for an operator."""

    dependency: str
    detail: str


class Readiness:
    """Ready means: running, and no obstacle. ``changed`` is called with each new answer."""

    def __init__(self, changed: Callable[[bool], None]) -> None:
        self._changed = changed
        self._phase = Phase.STARTING
        self._obstacles: dict[str, Obstacle] = {}

    @property
    def phase(self) -> Phase:
        return self._phase

    @property
    def is_ready(self) -> bool:
        return self._phase is Phase.RUNNING and not self._obstacles

    @property
    def obstacles(self) -> Mapping[str, Obstacle]:
        """What stands in the way, by who noticed it."""
        return dict(self._obstacles)

    def enter(self, phase: Phase) -> None:
        self._tell(lambda: setattr(self, "_phase", phase))

    def block(self, noticed_by: str, dependency: str, detail: str) -> None:
        """*noticed_by* cannot go on until *dependency* is back."""
        self._tell(lambda: self._obstacles.__setitem__(noticed_by, Obstacle(dependency, detail)))

    def clear(self, noticed_by: str) -> None:
        """*noticed_by* is working again. Clearing twice is fine."""
        self._tell(lambda: self._obstacles.pop(noticed_by, None))

    def _tell(self, change: Callable[[], object]) -> None:
        before = self.is_ready
        change()
        if self.is_ready is not before:
            self._changed(self.is_ready)
