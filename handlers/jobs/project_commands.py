"""Commands on projects."""

from contracts.payloads.commands.jobs import ProjectCreate
from handlers.commands.command import Command, Reply, payload_of
from handlers.commands.command_batch import ChangeHandler, CommandBatch
from handlers.jobs.job_views import project_view
from storage.jobs.projects import Owned, Project

_CREATED = 201


class ProjectAggregates:
    """The projects of one transaction."""

    def __init__(self, batch: CommandBatch) -> None:
        self._batch = batch
        self._wanted: set[Owned] = set()
        self._found: dict[str, Project] = {}
        self._new: list[Project] = []

    def want(self, project_id: str, owner: str) -> None:
        self._wanted.add((project_id, owner))

    def load(self) -> None:
        self._found.update(self._batch.uow.projects.owned(sorted(self._wanted)))

    def find(self, project_id: str, owner: str) -> Project | None:
        """The project, if it is the owner's."""
        project = self._found.get(project_id)
        return project if project is not None and project.owner == owner else None

    def add(self, project: Project) -> None:
        self._found[project.project_id] = project
        self._new.append(project)

    def write(self) -> None:
        self._batch.uow.projects.add(self._new)


def _nothing(command: Command, batch: CommandBatch) -> None:
    """A new thing needs nothing that is there."""


def _create(command: Command, batch: CommandBatch) -> Reply:
    payload = payload_of(command, ProjectCreate)
    project = Project(batch.context.new_id(), command.principal.owner, payload.name, batch.context.now)
    batch.aggregates(ProjectAggregates).add(project)
    return Reply(_CREATED, project_view(project))


CREATE_PROJECT = ChangeHandler(_nothing, _create)
