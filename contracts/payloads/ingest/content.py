"""What posts are made of and become: ideas, scripts, items, publications, and what is asked of them."""

from pydantic import Field
from pydantic.dataclasses import dataclass

from contracts.payloads.base import CLOSED, Items, Payload
from contracts.payloads.commands.jobs import Page
from contracts.payloads.ingest.schedule import Objective
from contracts.values.states import ItemState, PublicationState
from contracts.values.types import Count, Identifier, Text, Timestamp


class ContentIdea(Payload):
    """content.idea 1.0"""

    idea_id: Identifier
    topic: Text
    objective: Objective
    hook: Text
    format: Text


@dataclass(frozen=True, slots=True, config=CLOSED)
class ContentScene:
    """A scene of a script as it is written."""

    text: Text
    duration_s: Count


class ContentScript(Payload):
    """content.script 1.0"""

    script_id: Identifier
    idea_id: Identifier
    title: Text
    body: Text
    duration_s: Count
    scenes: Items[ContentScene]


class ContentList(Page):
    """What came within a time: ``since`` is inclusive, ``until`` is not."""

    since: Timestamp | None = Field(default=None, alias="from")
    until: Timestamp | None = Field(default=None, alias="to")


class IdeaGet(Payload):
    """idea.get 1.0: one idea with its newest scripts."""

    idea_id: Identifier


class IdeaList(ContentList):
    """idea.list 1.0"""


class ScriptGet(Payload):
    """script.get 1.0: one script with its idea."""

    script_id: Identifier


class ScriptList(ContentList):
    """script.list 1.0"""


class ItemGet(Payload):
    """item.get 1.0"""

    item_id: Identifier


class ItemList(ContentList):
    """item.list 1.0: by ``published_at``."""

    status: ItemState | None = None


class PublicationGet(Payload):
    """publication.get 1.0"""

    post_id: Identifier


class PublicationList(ContentList):
    """publication.list 1.0: by ``publish_at``."""

    status: PublicationState | None = None


class PublicationCancel(Payload):
    """publication.cancel 1.0: call it off as long as nothing went out."""

    post_id: Identifier
    reason: Text | None = None
