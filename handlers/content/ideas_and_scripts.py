"""Ideas and scripts: of each the newest message counts. Either may come before the other."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import orjson

from contracts.errors import JsonObject
from contracts.gate.delivery import Accepted
from contracts.payloads.ingest.content import ContentIdea, ContentScript
from handlers.effects import Context, Effects
from storage.content.ideas_and_scripts import Idea, Script
from storage.unit_of_work import UnitOfWork


def take_ideas(group: Sequence[Accepted], uow: UnitOfWork, context: Context) -> Effects:
    """``content.idea``"""
    newest = _newest_of_each(group, lambda accepted: _idea_said(accepted).idea_id)
    uow.ideas.upsert([_idea(accepted, context) for accepted in newest])
    return Effects()


def take_scripts(group: Sequence[Accepted], uow: UnitOfWork, context: Context) -> Effects:
    """``content.script``"""
    newest = _newest_of_each(group, lambda accepted: _script_said(accepted).script_id)
    uow.scripts.upsert([_script(accepted, context) for accepted in newest])
    return Effects()


def scripts_for_work(script_ids: Iterable[str | None], uow: UnitOfWork) -> Mapping[str | None, JsonObject]:
    """The scripts that are there by now, as workers are told them. What is no id or not there is not in the answer."""
    wanted = {script_id for script_id in script_ids if script_id is not None}
    return {script_id: _told(script) for script_id, script in uow.scripts.get_many(sorted(wanted)).items()}


_WORK_FIELDS: Final = ("script_id", "title", "body", "duration_s")


def _told(script: Script) -> JsonObject:
    told: JsonObject = {name: getattr(script, name) for name in _WORK_FIELDS}
    return told | {"scenes": orjson.loads(script.scenes)}


def _newest_of_each(group: Sequence[Accepted], identify: Callable[[Accepted], str]) -> Iterable[Accepted]:
    newest: dict[str, Accepted] = {}
    for accepted in group:
        known = newest.setdefault(identify(accepted), accepted)
        if known.created_at < accepted.created_at:
            newest[identify(accepted)] = accepted
    return newest.values()


def _idea_said(accepted: Accepted) -> ContentIdea:
    if not isinstance(accepted.payload, ContentIdea):
        raise TypeError(f"{accepted.kind} is no idea")
    return accepted.payload


def _script_said(accepted: Accepted) -> ContentScript:
    if not isinstance(accepted.payload, ContentScript):
        raise TypeError(f"{accepted.kind} is no script")
    return accepted.payload


def _idea(accepted: Accepted, context: Context) -> Idea:
    said = _idea_said(accepted)
    return Idea(
        idea_id=said.idea_id,
        topic=said.topic,
        objective=said.objective,
        hook=said.hook,
        format=said.format,
        message_id=accepted.message_id,
        trace_id=accepted.trace_id,
        producer=accepted.producer,
        created_at=accepted.created_at,
        received_at=context.now,
        updated_at=context.now,
    )


def _script(accepted: Accepted, context: Context) -> Script:
    said = _script_said(accepted)
    scenes = [{"text": scene.text, "duration_s": scene.duration_s} for scene in said.scenes]
    return Script(
        script_id=said.script_id,
        idea_id=said.idea_id,
        title=said.title,
        body=said.body,
        duration_s=said.duration_s,
        scenes=orjson.dumps(scenes).decode(),
        message_id=accepted.message_id,
        trace_id=accepted.trace_id,
        producer=accepted.producer,
        created_at=accepted.created_at,
        received_at=context.now,
        updated_at=context.now,
    )
