"""``anchors`` and ``anchor_assets``."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Row, Select, bindparam, select

from domain.documents.anchors import Anchor, AssetLink, Characters
from storage.engine.batches import BatchRows, Scalar, UpsertInsert, as_parameter, insert_rows
from storage.engine.changes import execute_change
from storage.jobs.projects import Owned
from storage.tables.documents import anchor_assets, anchors


class AnchorRepository(Protocol):
    """Anchors with their pictures."""

    def owned(self, wanted: Sequence[Owned]) -> Mapping[str, Anchor]:
        """Those of *wanted* that belong to the owner named with them, locked."""
        ...

    def get(self, anchor_id: str, *, owner: str) -> Anchor | None:
        """One anchor among its owner's, to look at."""
        ...

    def showing(self, asset_ids: Sequence[str]) -> Sequence[Anchor]:
        """Anchors to which one of the assets belongs, locked."""
        ...

    def awaiting(self, task_id: str) -> Sequence[Anchor]:
        """Anchors that wait for the picture of a task, locked."""
        ...

    def of_instructions(self, instruction_ids: Sequence[str]) -> Sequence[Anchor]:
        """All anchors of the instructions that show a picture, oldest first, to look at."""
        ...

    def page(self, instruction_id: str, *, before: str | None, limit: int) -> Sequence[Anchor]:
        """Anchors of an instruction, newest first, from the one after the id *before* on."""
        ...

    def upsert(self, anchors: Sequence[Anchor]) -> None:
        """Keep new anchors and changed ones, with all their links."""
        ...


class SqlAnchorRepository:
    """Maps rows to anchors."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def owned(self, wanted: Sequence[Owned]) -> Mapping[str, Anchor]:
        if not wanted:
            return {}
        rows = self._connection.execute(_owned(self._dialect), as_parameter(wanted)).all()
        return {anchor.anchor_id: anchor for anchor in self._with_links(rows)}

    def get(self, anchor_id: str, *, owner: str) -> Anchor | None:
        rows = self._connection.execute(_GET, {"anchor_id": anchor_id, "owner": owner}).all()
        return next(iter(self._with_links(rows)), None)

    def showing(self, asset_ids: Sequence[str]) -> Sequence[Anchor]:
        if not asset_ids:
            return []
        wanted = as_parameter([(asset_id,) for asset_id in asset_ids])
        return self._with_links(self._connection.execute(_showing(self._dialect), wanted).all())

    def awaiting(self, task_id: str) -> Sequence[Anchor]:
        return self._with_links(self._connection.execute(_AWAITING, {"task_id": task_id}).all())

    def of_instructions(self, instruction_ids: Sequence[str]) -> Sequence[Anchor]:
        if not instruction_ids:
            return []
        wanted = as_parameter([(each,) for each in instruction_ids])
        return self._with_links(self._connection.execute(_of_instructions(self._dialect), wanted).all())

    def page(self, instruction_id: str, *, before: str | None, limit: int) -> Sequence[Anchor]:
        wanted = {"instruction_id": instruction_id, "before": before, "limit": limit}
        return self._with_links(self._connection.execute(_page(before is not None), wanted).all())

    def upsert(self, anchors: Sequence[Anchor]) -> None:
        if not anchors:
            return
        ordered = sorted(anchors, key=lambda anchor: anchor.anchor_id)
        execute_change(self._connection, _put(self._dialect), as_parameter([_as_row(anchor) for anchor in ordered]))
        links = [
            (anchor.anchor_id, at, link.asset_id, link.linked_version, link.attached_at, link.detached_at)
            for anchor in ordered
            for at, link in enumerate(anchor.links)
        ]
        if links:
            execute_change(self._connection, _put_links(self._dialect), as_parameter(links))

    def _with_links(self, rows: Sequence[Row[*tuple[Any, ...]]]) -> list[Anchor]:
        """One more query for the links of all of them."""
        if not rows:
            return []
        links: defaultdict[str, list[AssetLink]] = defaultdict(list)
        wanted = as_parameter([(row.anchor_id,) for row in rows])
        for link in self._connection.execute(_links(self._dialect), wanted):
            links[link.anchor_id].append(
                AssetLink(link.asset_id, link.linked_version, link.attached_at, link.detached_at)
            )
        return [_anchor(row, tuple(links.get(row.anchor_id, ()))) for row in rows]


_NEVER_CHANGING: Final = (
    "anchor_id", "instruction_id", "owner", "created_version", "block_id", "char_start", "char_end", "created_at",
)  # fmt: skip
_CHANGING: Final = ("active_asset_id", "awaits_task_id", "updated_at")
_NAMES: Final = (*_NEVER_CHANGING, *_CHANGING)
_ALL: Final = tuple(anchors.c[name] for name in _NAMES)
_LINK_NAMES: Final = ("anchor_id", "ordinal", "asset_id", "linked_version", "attached_at", "detached_at")


def _as_row(anchor: Anchor) -> tuple[Scalar, ...]:
    characters = anchor.characters
    block_id = anchor.block_id if characters is None else characters.block_id
    start, end = (None, None) if characters is None else (characters.start, characters.end)
    return (
        anchor.anchor_id, anchor.instruction_id, anchor.owner, anchor.created_version, block_id, start, end,
        anchor.created_at, anchor.active_asset_id, anchor.awaits_task_id, anchor.updated_at,
    )  # fmt: skip


def _anchor(row: Row[*tuple[Any, ...]], links: tuple[AssetLink, ...]) -> Anchor:
    by_characters = row.char_start is not None
    return Anchor(
        anchor_id=row.anchor_id,
        instruction_id=row.instruction_id,
        owner=row.owner,
        created_version=row.created_version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        block_id=None if by_characters else row.block_id,
        characters=Characters(row.char_start, row.char_end, row.block_id) if by_characters else None,
        active_asset_id=row.active_asset_id,
        awaits_task_id=row.awaits_task_id,
        links=links,
    )


_GET: Final = select(*_ALL).where(anchors.c.anchor_id == bindparam("anchor_id"), anchors.c.owner == bindparam("owner"))
_AWAITING: Final = (
    select(*_ALL)
    .where(anchors.c.awaits_task_id == bindparam("task_id"))
    .order_by(anchors.c.anchor_id)
    .with_for_update(of=anchors)
)


@cache
def _owned(dialect: str) -> Select[*tuple[Any, ...]]:
    batch = BatchRows(dialect, anchors, ("anchor_id", "owner"))
    found = select(*_ALL).select_from(batch.source.join(anchors, batch.same)).order_by(anchors.c.anchor_id)
    return found.with_for_update(of=anchors)


@cache
def _showing(dialect: str) -> Select[*tuple[Any, ...]]:
    wanted = BatchRows(dialect, anchor_assets, ("asset_id",)).contains
    theirs = select(anchor_assets.c.anchor_id).where(wanted, anchor_assets.c.detached_at.is_(None))
    found = select(*_ALL).where(anchors.c.anchor_id.in_(theirs)).order_by(anchors.c.anchor_id)
    return found.with_for_update(of=anchors)


@cache
def _of_instructions(dialect: str) -> Select[*tuple[Any, ...]]:
    wanted = BatchRows(dialect, anchors, ("instruction_id",)).contains
    return select(*_ALL).where(wanted, anchors.c.active_asset_id.is_not(None)).order_by(anchors.c.anchor_id)


@cache
def _page(has_before: bool) -> Select[*tuple[Any, ...]]:
    statement = select(*_ALL).where(anchors.c.instruction_id == bindparam("instruction_id"))
    if has_before:
        statement = statement.where(anchors.c.anchor_id < bindparam("before"))
    return statement.order_by(anchors.c.anchor_id.desc()).limit(bindparam("limit"))


@cache
def _links(dialect: str) -> Select[*tuple[Any, ...]]:
    return (
        select(*(anchor_assets.c[name] for name in _LINK_NAMES))
        .where(BatchRows(dialect, anchor_assets, ("anchor_id",)).contains)
        .order_by(anchor_assets.c.anchor_id, anchor_assets.c.ordinal)
    )


@cache
def _put(dialect: str) -> UpsertInsert:
    statement = insert_rows(dialect, anchors, _NAMES)
    return statement.on_conflict_do_update(
        index_elements=["anchor_id"], set_={name: statement.excluded[name] for name in _CHANGING}
    )


@cache
def _put_links(dialect: str) -> UpsertInsert:
    statement = insert_rows(dialect, anchor_assets, _LINK_NAMES)
    return statement.on_conflict_do_update(
        index_elements=["anchor_id", "ordinal"], set_={"detached_at": statement.excluded.detached_at}
    )
