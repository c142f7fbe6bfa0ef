"""Exports as their owners, listeners and the status bucket see them."""

from contracts import outgoing, subjects
from contracts.errors import JsonObject
from contracts.values.states import ExportState
from contracts.values.times import format_micros
from domain.documents.exports import Export
from handlers.effects import Context
from handlers.status_updates import status_update
from handlers.work.task_views import failure_view
from storage.journal.outbox import OutboxMessage


def export_view(export: Export) -> JsonObject:
    """The view without a URL: a right to read is signed for whoever asks, and stands in no bucket and no event."""
    view: JsonObject = {
        "export_id": export.export_id,
        "job_id": export.job_id,
        "format": export.format,
        "options": export.options,
        "status": export.status,
        "attempt": export.attempt,
        "version": export.version,
        "created_at": format_micros(export.created_at),
        "updated_at": format_micros(export.updated_at),
    }
    if export.status is ExportState.SUCCEEDED:
        view |= {"size": export.size, "sha256": export.sha256, "provenance": export.provenance}
    if export.error is not None:
        view["error"] = failure_view(export.error)
    return view


def owners_view(export: Export, context: Context) -> JsonObject:
    """The view with a URL signed anew, once there is something to download."""
    view = export_view(export)
    if export.status is ExportState.SUCCEEDED:
        signed = context.links.download(f"/exports/{export.export_id}", context.now)
        view |= {"download_url": signed.url, "download_expires_at": format_micros(signed.expires_at)}
    return view


def export_messages(export: Export, context: Context) -> list[OutboxMessage]:
    """The event of the state that the export is in, and its entry in the status bucket."""
    name = export.status.lower()
    message_id = context.new_id()
    subject = subjects.event("export", export.export_id, name)
    body = outgoing.envelope(
        outgoing.event_kind("export", name),
        export_view(export),
        message_id=message_id,
        trace_id=export.trace_id,
        now=context.now,
    )
    event = OutboxMessage(
        message_id=message_id,
        lane=context.subjects.lane(subject),
        aggregate=f"export.{export.export_id}",
        subject=context.subjects.full(subject),
        body=body,
    )
    return [event, status_update(f"export.{export.export_id}", export_view(export), context)]
