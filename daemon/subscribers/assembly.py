"""Which subscribers there are, made from the settings."""

from collections.abc import Mapping

from adapters.nats.streams.topology import advisory_consumer, agents_consumer, notify_consumer
from adapters.notifiers.base import Notifier
from contracts.subjects import Family
from daemon.clock import now_micros
from daemon.foundation import Foundation
from daemon.settings.model import Settings
from daemon.settings.pipeline import NotifierSettings
from daemon.subscribers.agent_answers import AgentAnswers
from daemon.subscribers.alert_messages import MessageTerms
from daemon.subscribers.notifications import NotificationDelivery
from daemon.subscribers.subscriber import Handle, LowRateSubscribers, Subscriber
from daemon.transactions import chance


def make_notifiers(settings: Settings) -> Mapping[str, Notifier]:
    """The notifiers by name."""
    return {name: _notifier(notifier) for name, notifier in sorted(settings.notifiers.items())}


def _notifier(settings: NotifierSettings) -> Notifier:
    # The HTTP client is loaded where there is somebody to tell.
    url, key = settings.url.get_secret_value(), settings.key.get_secret_value()
    match settings.type:
        case "webhook":
            from adapters.notifiers.webhook import WebhookNotifier

            older = (old.get_secret_value() for old in settings.old_keys)
            return WebhookNotifier(url, [secret for secret in (key, *older) if secret])
        case "slack":
            from adapters.notifiers.slack import SlackNotifier

            return SlackNotifier(url)
        case "pagerduty":
            from adapters.notifiers.pagerduty import PagerDutyNotifier

            return PagerDutyNotifier(key, url)


def message_terms(settings: Settings) -> MessageTerms:
    return MessageTerms(settings.nats.prefix, settings.console.public_url)


def low_rate_subscribers(base: Foundation, notifiers: Mapping[str, Notifier], given_up: Handle) -> LowRateSubscribers:
    """All of them, on the broker of the daemon."""
    events = base.subjects.stream(Family.EVENT)
    return LowRateSubscribers(
        base.nats.broker,
        [
            Subscriber(advisory_consumer(base.subjects), given_up, "Keeps the messages that the server gave up on."),
            Subscriber(
                agents_consumer(base.subjects),
                AgentAnswers(base.database, base.context, lambda: base.metrics.forged.labels(events).inc()),
                "Closes the runs of control messages that agents answered.",
            ),
            *(_delivery(base, name, notifier) for name, notifier in notifiers.items()),
        ],
        base.metrics,
        closed_last=[notifier.close for notifier in notifiers.values()],
    )


def _delivery(base: Foundation, name: str, notifier: Notifier) -> Subscriber:
    delivery = NotificationDelivery(
        base.database,
        name,
        notifier,
        message_terms(base.settings),
        stream=base.subjects.stream(Family.NOTIFY),
        metrics=base.metrics,
        clock=now_micros,
        chance=chance,
    )
    return Subscriber(notify_consumer(base.subjects, name), delivery, f"Tells the notifier {name} of alerts.")
