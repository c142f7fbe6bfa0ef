"""Questions about items, ideas, scripts and publications."""

from typing import Final

import orjson

from contracts.errors import JsonObject
from contracts.payloads.ingest import content as asked
from contracts.values.times import format_micros
from handlers.commands.command import NOT_FOUND, Command, Reply, ok, payload_of, refuse
from handlers.commands.pages import cursor, page, read_cursor
from handlers.content.content_views import item_view, publication_view
from handlers.effects import Context
from storage.content.ideas_and_scripts import Idea, Script, ScriptTitle
from storage.content.items import StoredItem
from storage.content.pages import Mark, Period
from storage.content.publications import StoredPublication
from storage.unit_of_work import UnitOfWork

_NEWEST: Final = 50


def get_idea(command: Command, uow: UnitOfWork, context: Context) -> Reply:  # noqa: ARG001 - every query is given one
    """``idea.get``: an idea with its newest scripts."""
    idea_id = payload_of(command, asked.IdeaGet).idea_id
    idea = uow.ideas.get(idea_id)
    if idea is None:
        return refuse(NOT_FOUND)
    newest = uow.scripts.newest_of_idea(idea_id, limit=_NEWEST)
    return ok(idea_view(idea) | {"newest_scripts": [_title_view(script) for script in newest]})


def list_ideas(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """``idea.list``: newest first."""
    wanted = payload_of(command, asked.IdeaList)
    rows = uow.ideas.page(_period(wanted), before=_mark("ideas", wanted), limit=wanted.limit + 1)

    def place(idea: Idea) -> str:
        return cursor("ideas", idea.created_at, idea.idea_id)

    return ok(page(rows, wanted.limit, idea_view, place, context))


def get_script(command: Command, uow: UnitOfWork, context: Context) -> Reply:  # noqa: ARG001 - every query is given one
    """``script.get``: a script with its idea, where that has come."""
    script_id = payload_of(command, asked.ScriptGet).script_id
    script = uow.scripts.get_many([script_id]).get(script_id)
    if script is None:
        return refuse(NOT_FOUND)
    idea = uow.ideas.get(script.idea_id)
    return ok(script_view(script) | {"idea": None if idea is None else idea_view(idea)})


def list_scripts(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """``script.list``: newest first."""
    wanted = payload_of(command, asked.ScriptList)
    rows = uow.scripts.page(_period(wanted), before=_mark("scripts", wanted), limit=wanted.limit + 1)

    def place(script: Script) -> str:
        return cursor("scripts", script.created_at, script.script_id)

    return ok(page(rows, wanted.limit, script_view, place, context))


def get_item(command: Command, uow: UnitOfWork, context: Context) -> Reply:  # noqa: ARG001 - every query is given one
    """``item.get``"""
    item = uow.items.get(payload_of(command, asked.ItemGet).item_id)
    return refuse(NOT_FOUND) if item is None else ok(item_view(item))


def list_items(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """``item.list``: by when they were published, newest first."""
    wanted = payload_of(command, asked.ItemList)
    before = _mark("items", wanted)
    rows = uow.items.page(_period(wanted), status=wanted.status, before=before, limit=wanted.limit + 1)

    def place(item: StoredItem) -> str:
        return cursor("items", item.published_at, item.item_id)

    return ok(page(rows, wanted.limit, item_view, place, context))


def get_publication(command: Command, uow: UnitOfWork, context: Context) -> Reply:  # noqa: ARG001 - every query is given one
    """``publication.get``"""
    publication = uow.publications.get(payload_of(command, asked.PublicationGet).post_id)
    return refuse(NOT_FOUND) if publication is None else ok(publication_view(publication))


def list_publications(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """``publication.list``: by when they are to be published, newest first."""
    wanted = payload_of(command, asked.PublicationList)
    before = _mark("publications", wanted)
    rows = uow.publications.page(_period(wanted), status=wanted.status, before=before, limit=wanted.limit + 1)

    def place(publication: StoredPublication) -> str:
        return cursor("publications", publication.publication.publish_at, publication.post_id)

    return ok(page(rows, wanted.limit, publication_view, place, context))


def idea_view(idea: Idea) -> JsonObject:
    return {
        "idea_id": idea.idea_id,
        "topic": idea.topic,
        "objective": idea.objective,
        "hook": idea.hook,
        "format": idea.format,
        **_origin_view(idea),
    }


def script_view(script: Script) -> JsonObject:
    return {
        "script_id": script.script_id,
        "idea_id": script.idea_id,
        "title": script.title,
        "body": script.body,
        "duration_s": script.duration_s,
        "scenes": orjson.loads(script.scenes),
        **_origin_view(script),
    }


def _origin_view(row: Idea | Script) -> JsonObject:
    """The message that says so, and when the first one came."""
    return {
        "message_id": row.message_id,
        "trace_id": row.trace_id,
        "producer": row.producer,
        "created_at": format_micros(row.created_at),
        "received_at": format_micros(row.received_at),
        "updated_at": format_micros(row.updated_at),
    }


def _title_view(script: ScriptTitle) -> JsonObject:
    return {
        "script_id": script.script_id,
        "title": script.title,
        "created_at": format_micros(script.created_at),
    }


def _period(wanted: asked.ContentList) -> Period:
    return Period(wanted.since, wanted.until)


def _mark(kind: str, wanted: asked.ContentList) -> Mark | None:
    mark = read_cursor(kind, wanted.cursor, int, str)
    return None if mark is None else (int(mark[0]), str(mark[1]))
