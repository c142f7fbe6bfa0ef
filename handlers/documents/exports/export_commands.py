"""``export.create`` and ``export.get``: what an export is made of is pinned when it is asked for."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from contracts.errors import JsonObject, JsonValue
from contracts.payloads.commands.exports import ExportCreate, ExportGet
from contracts.values.states import AssetState, ExportState, Resolution
from contracts.values.times import format_micros
from domain.assets.assets import Asset
from domain.documents import exports as rules
from domain.documents.anchors import Anchor
from domain.documents.exports import Export, ExportDecision, ExportFormat
from domain.documents.instructions import ValidationStatus
from domain.jobs.job import Job
from domain.work.work import By
from handlers.commands.command import NOT_FOUND, Command, Reply, ok, payload_of, refuse
from handlers.commands.command_batch import ChangeHandler, CommandBatch
from handlers.documents.anchor_views import Resolver
from handlers.documents.exports.export_views import export_messages, owners_view
from handlers.effects import Context
from handlers.jobs.job_commands import JobAggregates
from storage.assets.assets import HolderKind, Pin
from storage.documents.instructions import InstructionVersion, VersionKey
from storage.jobs.projects import Owned
from storage.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class _Source:
    """What a job's document is made of at this moment."""

    version: InstructionVersion
    pictures: Sequence[tuple[str, Anchor, Asset]]
    """By block, in the order of the anchors."""


class PinnedExports:
    """The exports of one transaction; loaded once their jobs are locked."""

    def __init__(self, batch: CommandBatch) -> None:
        self._batch = batch
        self._wanted: list[tuple[Owned, ExportCreate]] = []
        self._sources: dict[str, _Source] = {}
        self._known: dict[str, Export] = {}
        self._changed: dict[str, Export] = {}
        self._pins: list[Pin] = []

    def want(self, payload: ExportCreate, owner: str) -> None:
        self._wanted.append(((payload.job_id, owner), payload))
        self._batch.aggregates(JobAggregates).want(payload.job_id, owner)

    def load(self) -> None:
        uow, jobs = self._batch.uow, self._batch.aggregates(JobAggregates)
        found = {
            job.job_id: job for (job_id, owner), _ in self._wanted if (job := jobs.find(job_id, owner)) is not None
        }
        self._sources.update(_sources(list(found.values()), uow))
        identities: set[str] = set()
        for (job_id, _), payload in self._wanted:
            if job_id in self._sources:
                identities.add(self.identity(found[job_id], payload))
        self._known.update(uow.exports.known(sorted(identities)))

    def source(self, job_id: str) -> _Source | None:
        return self._sources.get(job_id)

    def identity(self, job: Job, payload: ExportCreate) -> str:
        source = self._sources[job.job_id]
        return rules.identity(job.job_id, ExportFormat(payload.format), _options(payload), pinned(job, source, payload))

    def find(self, identity: str) -> Export | None:
        return self._known.get(identity)

    def take(self, decision: ExportDecision, pinned_assets: Sequence[str] = ()) -> None:
        if not decision.changed:
            return
        export = decision.export
        self._known[export.identity] = self._changed[export.export_id] = export
        self._pins += [Pin(asset_id, HolderKind.EXPORT, export.export_id) for asset_id in pinned_assets]

    def write(self) -> None:
        uow, context = self._batch.uow, self._batch.context
        uow.exports.upsert(list(self._changed.values()))
        uow.assets.pin(self._pins)
        for export in self._changed.values():
            self._batch.outbox.extend(export_messages(export, context))


def _sources(jobs: Sequence[Job], uow: UnitOfWork) -> dict[str, _Source]:
    """The newest versions with the pictures of their anchors, for all jobs in one go."""
    instructions = {job.instruction_id: job.job_id for job in jobs if job.instruction_id is not None}
    heads = uow.instructions.latest(sorted(instructions))
    anchors = uow.anchors.of_instructions(sorted(heads))
    keys = {VersionKey(head.instruction_id, head.latest_version) for head in heads.values()}
    keys |= {VersionKey(anchor.instruction_id, anchor.created_version) for anchor in anchors}
    versions = uow.instructions.versions(sorted(keys))
    active = sorted({anchor.active_asset_id for anchor in anchors if anchor.active_asset_id is not None})
    assets, resolver = uow.assets.by_ids(active), Resolver(versions)
    pictures: defaultdict[str, list[tuple[str, Anchor, Asset]]] = defaultdict(list)
    for anchor in anchors:
        asset = assets.get(anchor.active_asset_id or "")
        place = resolver.place(anchor, heads[anchor.instruction_id].latest_version)
        if asset is None or asset.state is not AssetState.READY or place.resolution is Resolution.LOST:
            continue
        pictures[anchor.instruction_id].append((place.block_id or "", anchor, asset))
    return {
        job_id: _Source(versions[VersionKey(head.instruction_id, head.latest_version)], pictures[head.instruction_id])
        for head in heads.values()
        if (job_id := instructions[head.instruction_id])
    }


def _options(payload: ExportCreate) -> JsonObject:
    return {"title": payload.options.title, "include_assets": payload.options.include_assets}


def pinned(job: Job, source: _Source, payload: ExportCreate) -> JsonObject:
    """All that goes into the bytes of an export, by version and digest."""
    version, approval = source.version, job.approval
    listed: list[JsonValue] = [
        {
            "asset_id": asset.asset_id,
            "sha256": asset.sha256,
            "media_type": asset.media_type,
            "size": asset.size,
            "origin": asset.origin,
            "object": asset.object,
            "anchor_id": anchor.anchor_id,
            "block_id": block_id,
        }
        for block_id, anchor, asset in (source.pictures if payload.options.include_assets else ())
    ]
    return {
        "title": payload.options.title or job.title,
        "video_url": job.video_url,
        "instruction": {
            "instruction_id": version.instruction_id,
            "version": version.version,
            "created_by": version.created_by,
            "created_at": format_micros(version.created_at),
            "provenance": version.provenance,
        },
        "approval": None
        if approval is None
        else {"by": approval.by, "at": format_micros(approval.at), "version": approval.version},
        "assets": listed,
    }


def _want(command: Command, batch: CommandBatch) -> None:
    batch.aggregates(PinnedExports).want(payload_of(command, ExportCreate), command.principal.owner)


def _create(command: Command, batch: CommandBatch) -> Reply:
    payload, owner, context = payload_of(command, ExportCreate), command.principal.owner, batch.context
    exports = batch.aggregates(PinnedExports)
    job = batch.aggregates(JobAggregates).find(payload.job_id, owner)
    if job is None:
        return refuse(NOT_FOUND)
    if job.status not in rules.EXPORTABLE:
        return refuse(rules.NOT_EXPORTABLE)
    source = exports.source(job.job_id)
    if source is None or source.version.validation_status == ValidationStatus.INVALID:
        return refuse(rules.NO_INSTRUCTION)
    identity = exports.identity(job, payload)
    known, by = exports.find(identity), By(owner, context.now)
    if known is None:
        decision = rules.request(_new(identity, job, source, payload, command, context))
    else:
        decision = rules.request_again(known, by)
    exports.take(decision, [asset.asset_id for _, _, asset in source.pictures])
    return Reply(decision.status, owners_view(decision.export, context))


def _new(identity: str, job: Job, source: _Source, payload: ExportCreate, command: Command, context: Context) -> Export:
    return Export(
        export_id=context.new_id(),
        job_id=job.job_id,
        owner=job.owner,
        format=ExportFormat(payload.format),
        options=_options(payload),
        identity=identity,
        status=ExportState.REQUESTED,
        version=1,
        pinned=pinned(job, source, payload),
        trace_id=command.trace_id,
        created_at=context.now,
        updated_at=context.now,
    )


def get_export(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """``export.get``"""
    export = uow.exports.get(payload_of(command, ExportGet).export_id, owner=command.principal.owner)
    return refuse(NOT_FOUND) if export is None else ok(owners_view(export, context))


CREATE_EXPORT = ChangeHandler(_want, _create)
