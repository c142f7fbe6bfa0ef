"""What workers made of jobs: transcripts and storyboards."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple, Protocol

from sqlalchemy import Connection, Delete, Select, Table, and_, bindparam, delete, select, tuple_

from domain.jobs.job_callbacks import SceneFacts, Transcript
from storage.engine.batches import BatchRows, UpsertInsert, as_parameter, insert_into, insert_rows
from storage.engine.changes import execute_change
from storage.tables.jobs import jobs, storyboard_scenes, transcript_segments


class SegmentKey(NamedTuple):
    """Where a segment stands in its transcript."""

    start_ms: int
    end_ms: int
    ordinal: int


class Segment(NamedTuple):
    start_ms: int
    end_ms: int
    ordinal: int
    text: str

    @property
    def key(self) -> SegmentKey:
        return SegmentKey(self.start_ms, self.end_ms, self.ordinal)


class Scene(NamedTuple):
    scene: int
    duration_s: float
    image_url: str | None
    text: str


class ArtifactRepository(Protocol):
    """What workers made of jobs: transcripts and storyboards."""

    def put_transcripts(self, parts: Sequence[tuple[str, Transcript]]) -> None:
        """Take in parts of transcripts in order, each with the id of its job."""
        ...

    def put_scenes(self, scenes: Mapping[str, Sequence[SceneFacts]]) -> None:
        """Take in scenes by job; they replace those of the same number."""
        ...

    def segments(self, job_id: str, *, after: SegmentKey | None, limit: int) -> Sequence[Segment]:
        """A part of a transcript in its order."""
        ...

    def scenes(self, job_ids: Sequence[str]) -> Mapping[str, Sequence[Scene]]:
        """The storyboards of those jobs that have one."""
        ...

    def copy(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Give jobs the transcript and storyboard of others: pairs of (from, to)."""
        ...


_SegmentRow = tuple[str, int, int, int, str]


class SqlArtifactRepository:
    """``transcript_segments`` and ``storyboard_scenes``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def put_transcripts(self, parts: Sequence[tuple[str, Transcript]]) -> None:
        if parts:
            spans = [(job_id, part.from_ms, part.before_ms) for job_id, part in parts]
            execute_change(self._connection, _clear_spans(self._dialect), as_parameter(spans))
            execute_change(self._connection, _add_segments(self._dialect), as_parameter(_laid_over(parts)))

    def put_scenes(self, scenes: Mapping[str, Sequence[SceneFacts]]) -> None:
        rows = [
            (job_id, scene.scene, float(scene.duration_s), scene.image_url, scene.text)
            for job_id in sorted(scenes)
            for scene in {scene.scene: scene for scene in scenes[job_id]}.values()
        ]
        if rows:
            execute_change(self._connection, _put_scenes(self._dialect), as_parameter(rows))

    def segments(self, job_id: str, *, after: SegmentKey | None, limit: int) -> Sequence[Segment]:
        wanted: dict[str, object] = {"job_id": job_id, "limit": limit}
        if after is not None:
            wanted |= {f"after_{name}": value for name, value in after._asdict().items()}
        return [Segment(*row) for row in self._connection.execute(_segments(after is not None), wanted)]

    def scenes(self, job_ids: Sequence[str]) -> Mapping[str, Sequence[Scene]]:
        if not job_ids:
            return {}
        rows = self._connection.execute(_scenes(self._dialect), as_parameter([(job_id,) for job_id in job_ids]))
        return {job_id: [Scene(*row[1:]) for row in of_job] for job_id, of_job in groupby(rows, key=itemgetter(0))}

    def copy(self, pairs: Sequence[tuple[str, str]]) -> None:
        if pairs:
            batch = as_parameter([(target, source) for source, target in pairs])
            for table, names in _COPIED:
                execute_change(self._connection, _copy(self._dialect, table, names), batch)


def _laid_over(parts: Iterable[tuple[str, Transcript]]) -> list[_SegmentRow]:
    """The segments of all parts, where a later part takes the place of what began within its span."""
    rows: dict[str, list[_SegmentRow]] = {}
    for job_id, part in parts:
        kept = [row for row in rows.get(job_id, ()) if not part.from_ms <= row[1] < part.before_ms]
        new = [(job_id, each.start_ms, each.end_ms, at, each.text) for at, each in enumerate(part.segments)]
        rows[job_id] = kept + new
    return [row for job_id in sorted(rows) for row in rows[job_id]]


_SEGMENT_KEY: Final = tuple(transcript_segments.c[name] for name in SegmentKey._fields)
_SEGMENT_COLUMNS: Final = ("job_id", *Segment._fields)
_SCENE_COLUMNS: Final = ("job_id", *Scene._fields)


@cache
def _clear_spans(dialect: str) -> Delete:
    """A batch's ``start_ms`` and ``end_ms`` are the bounds of the span here."""
    table = transcript_segments.c
    batch = BatchRows(dialect, transcript_segments, ("job_id", "start_ms", "end_ms"))
    cells = batch.cells
    within = and_(
        table.job_id == cells["job_id"], table.start_ms >= cells["start_ms"], table.start_ms < cells["end_ms"]
    )
    key = (table.job_id, *_SEGMENT_KEY)
    covered = select(*key).select_from(batch.source.join(transcript_segments, within))
    return delete(transcript_segments).where(tuple_(*key).in_(covered))


@cache
def _add_segments(dialect: str) -> UpsertInsert:
    return insert_rows(dialect, transcript_segments, _SEGMENT_COLUMNS)


@cache
def _put_scenes(dialect: str) -> UpsertInsert:
    statement = insert_rows(dialect, storyboard_scenes, _SCENE_COLUMNS)
    return statement.on_conflict_do_update(
        index_elements=["job_id", "scene"],
        set_={name: statement.excluded[name] for name in ("duration_s", "image_url", "text")},
    )


@cache
def _segments(has_after: bool) -> Select[*tuple[Any, ...]]:
    table = transcript_segments.c
    statement = select(*(table[name] for name in Segment._fields)).where(table.job_id == bindparam("job_id"))
    if has_after:
        after = [bindparam(f"after_{name}", type_=table[name].type) for name in SegmentKey._fields]
        statement = statement.where(tuple_(*_SEGMENT_KEY) > tuple_(*after))
    return statement.order_by(*_SEGMENT_KEY).limit(bindparam("limit"))


@cache
def _scenes(dialect: str) -> Select[*tuple[Any, ...]]:
    table = storyboard_scenes.c
    return (
        select(*(table[name] for name in _SCENE_COLUMNS))
        .where(BatchRows(dialect, storyboard_scenes, ("job_id",)).contains)
        .order_by(table.job_id, table.scene)
    )


_COPIED: Final = ((transcript_segments, Segment._fields), (storyboard_scenes, Scene._fields))


@cache
def _copy(dialect: str, table: Table, names: tuple[str, ...]) -> UpsertInsert:
    """Rows of one job under the id of another: of a job and the one that it retries."""
    batch = BatchRows(dialect, jobs, ("job_id", "retry_of"))
    copied = select(batch.cells["job_id"], *(table.c[name] for name in names)).select_from(
        batch.source.join(table, table.c.job_id == batch.cells["retry_of"])
    )
    columns = ["job_id", *names]
    return insert_into(dialect, table).from_select(columns, copied, include_defaults=False)
