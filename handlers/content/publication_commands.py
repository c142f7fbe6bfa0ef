"""Commands on publications: calling one off."""

from typing import Final

from contracts.errors import Problem
from contracts.payloads.ingest.content import PublicationCancel
from domain.work.work import By
from handlers.commands.command import Command, Reply, ok, payload_of, refuse
from handlers.commands.command_batch import ChangeHandler, CommandBatch
from handlers.content.content_views import publication_view
from handlers.content.publications import PublicationRecorder


class PublicationAggregates:
    """The publications of one transaction, each as the last decision left it."""

    def __init__(self, batch: CommandBatch) -> None:
        self._batch = batch
        self._wanted: set[str] = set()
        self._recorder = PublicationRecorder([], batch.uow, batch.context)

    def want(self, post_id: str) -> None:
        self._wanted.add(post_id)

    def load(self) -> None:
        self._recorder = PublicationRecorder.locked(sorted(self._wanted), self._batch.uow, self._batch.context)

    @property
    def recorder(self) -> PublicationRecorder:
        """Decides on what was wanted."""
        return self._recorder

    def write(self) -> None:
        self._batch.outbox.extend(self._recorder.write())


def _want(command: Command, batch: CommandBatch) -> None:
    batch.aggregates(PublicationAggregates).want(payload_of(command, PublicationCancel).post_id)


def _cancel(command: Command, batch: CommandBatch) -> Reply:
    """``publication.cancel``: only while nothing went out; again it is answered as it is."""
    asked, by = payload_of(command, PublicationCancel), By(command.principal.owner, batch.context.now)
    decided = batch.aggregates(PublicationAggregates).recorder.cancel(asked.post_id, by, asked.reason)
    return refuse(decided) if isinstance(decided, Problem) else ok(publication_view(decided))


CANCEL_PUBLICATION: Final = ChangeHandler(_want, _cancel)
