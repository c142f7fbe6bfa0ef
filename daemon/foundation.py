"""What every part of the daemon is made from, and the values that come of the settings."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from adapters.nats.probe import Probe, probe
from adapters.prices.price_lists import PriceListError
from adapters.prices.prices import LayeredPrices, load_price_book
from contracts.gate.rules import GateRules, Mode
from contracts.subjects import Subjects
from contracts.values.work import WorkType
from daemon.clock import new_id, now_micros
from daemon.errors import StartError
from daemon.http.console import Console
from daemon.observability.health import HealthCheck
from daemon.observability.metrics import Metrics
from daemon.observability.readiness import Readiness
from daemon.observability.story_log import StoryLog
from daemon.process.connections import Nats, provision_streams, wanted_topology
from daemon.process.own_secret import own_secret
from daemon.settings.model import Settings
from daemon.settings.without_effect import settings_without_effect
from daemon.transactions import chance
from domain.assets.signed_urls import Links
from handlers.effects import AssetTerms, Context, WorkTerms
from storage.engine.database import Database
from storage.journal.retention import RETENTIONS

if TYPE_CHECKING:
    from daemon.observability.traces import Traces

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Foundation:
    """What every part of the daemon is made from."""

    settings: Settings
    daemon_id: str
    subjects: Subjects
    rules: GateRules
    prices: LayeredPrices
    database: Database
    stories: StoryLog
    nats: Nats
    metrics: Metrics
    readiness: Readiness
    health: HealthCheck
    http_url: str
    console: Console
    work: WorkTerms
    links: Links
    traces: "Traces | None"

    def context(self) -> Context:
        """What a decision may need, as of now."""
        return Context(
            now=now_micros(),
            new_id=new_id,
            daemon_id=self.daemon_id,
            subjects=self.subjects,
            prices=self.prices,
            max_message_bytes=self.nats.client.max_payload,
            links=self.links,
            assets=AssetTerms(self.settings.assets.max_bytes, self.settings.assets.upload_ttl_s),
            work=self.work,
            chance=chance,
        )

    async def probe(self) -> Probe:
        """Whether the server has what the daemon needs there, and stores what is published."""
        wanted = wanted_topology(self.settings, self.subjects)
        return await probe(self.nats.client, self.subjects, wanted, server=self.nats.server)

    async def provision(self) -> None:
        """Bring streams, consumers and buckets to what the daemon needs."""
        await provision_streams(self.settings, self.nats, self.subjects)


def load_prices(settings: Settings) -> LayeredPrices:
    try:
        return load_price_book(settings.pricing.files)
    except PriceListError as error:
        raise StartError(f"pricing.files: {error}") from None


def tell_settings_without_effect(settings: Settings) -> None:
    """What was set in vain is told in the log, a line each."""
    pruned = {retention.setting for retention in RETENTIONS}
    for each in settings_without_effect(settings, pruned=pruned):
        log.warning("setting_without_effect", key=each.key, reason=each.reason)


def gate_rules(settings: Settings) -> GateRules:
    rules = GateRules(
        mode=Mode(settings.contracts.mode),
        compat_until=settings.contracts.compat_until,
        max_bytes=settings.contracts.max_bytes,
        prefix=settings.nats.prefix,
        reply_prefixes=settings.limits.reply_prefixes,
    )
    if rules.mode is Mode.COMPAT and not rules.compat_at(now_micros()):
        log.warning("compat_mode_is_over", compat_until=str(rules.compat_until), behaves_as="strict")
    elif rules.mode is Mode.COMPAT:
        log.warning("compat_mode", compat_until=str(rules.compat_until or "no end"))
    return rules


def signed_links(settings: Settings, http_url: str) -> Links:
    """Signed URLs under the daemon's address. Raises :class:`StartError` where its own secret cannot be kept."""
    assets = settings.assets
    current = assets.url_secret.get_secret_value().encode() or own_secret(settings.daemon.state_dir)
    older = (secret.get_secret_value().encode() for secret in assets.old_url_secrets)
    return Links(
        base_url=(settings.http.public_url or http_url).rstrip("/"),
        secrets=(current, *(secret for secret in older if secret)),
        download_ttl_s=assets.url_ttl_s,
        upload_ttl_s=assets.upload_ttl_s,
        leeway_s=settings.auth.leeway_s,
    )


def work_terms(settings: Settings) -> WorkTerms:
    deadlines_s = settings.work.deadlines_s()
    return WorkTerms(
        deadline_s={work_type: deadlines_s[work_type] for work_type in WorkType},
        max_attempts=settings.self_heal.max_attempts,
        reorder_s=settings.callbacks.reorder_s,
    )
