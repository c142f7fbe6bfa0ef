"""Rules between settings: each value may be fine alone and wrong beside another."""

import os
from collections.abc import Iterator

from daemon.settings.faults import Fault
from daemon.settings.model import Settings
from daemon.settings.pipeline import AuthSettings
from daemon.settings.values import signing_secret_fault


def broken_rules(settings: Settings) -> list[Fault]:
    """What does not fit together, in the order of the sections."""
    return [
        *_nats(settings),
        *_intake(settings),
        *_auth(settings),
        *_callbacks(settings),
        *_limits(settings),
        *_alerts(settings),
        *_notifiers(settings),
        *_bridge(settings),
    ]


def _nats(settings: Settings) -> Iterator[Fault]:
    nats = settings.nats
    if nats.mode == "embedded":
        if nats.replicas > 1:
            yield Fault(("nats", "replicas"), "must be 1 with the embedded server, which stands alone")
    # An unreadable credentials file would otherwise show as a connection that never comes.
    elif nats.credentials is not None and not (nats.credentials.is_file() and os.access(nats.credentials, os.R_OK)):
        yield Fault(("nats", "credentials"), "must be a file that can be read")


def _intake(settings: Settings) -> Iterator[Fault]:
    if settings.intake.window < settings.intake.max_batch:
        yield Fault(("intake", "window"), "must not be less than intake.max_batch")


def _auth(settings: Settings) -> Iterator[Fault]:
    auth = settings.auth
    secret = auth.jwt_secret.get_secret_value().encode()
    if secret and len(secret) < 32:
        yield Fault(("auth", "jwt_secret"), "must be 32 bytes or more")
    if auth.jwt_public_key and not _is_ed25519(auth.jwt_public_key):
        yield Fault(("auth", "jwt_public_key"), "must be an Ed25519 public key in PEM")
    yield from _old_keys(auth)
    if auth.mode == "none" and not settings.nats.on_loopback:
        yield Fault(("auth", "mode"), "must be jwt, for nats.url is not a loopback address")
    for key in ("mode", "ingest"):
        if getattr(auth, key) == "jwt" and not (secret or auth.jwt_public_key):
            yield Fault(("auth", key), "must not be jwt without auth.jwt_secret or auth.jwt_public_key")


def _old_keys(auth: AuthSettings) -> Iterator[Fault]:
    for index, secret in enumerate(auth.old_jwt_secrets):
        if len(secret.get_secret_value().encode()) < 32:
            yield Fault(("auth", "old_jwt_secrets", index), "must be 32 bytes or more")
    for index, pem in enumerate(auth.old_jwt_public_keys):
        if not _is_ed25519(pem):
            yield Fault(("auth", "old_jwt_public_keys", index), "must be an Ed25519 public key in PEM")


def _is_ed25519(pem: str) -> bool:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        return isinstance(load_pem_public_key(pem.encode()), Ed25519PublicKey)
    except (ValueError, UnsupportedAlgorithm):
        return False


def _callbacks(settings: Settings) -> Iterator[Fault]:
    if not settings.callbacks.secrets and settings.auth.mode != "none":
        yield Fault(("callbacks", "secrets"), "must have at least one secret, unless auth.mode is none")


def _limits(settings: Settings) -> Iterator[Fault]:
    for index, prefix in enumerate(settings.limits.reply_prefixes):
        if f"{prefix}.".startswith(f"{settings.nats.prefix}."):
            yield Fault(("limits", "reply_prefixes", index), "must not lie under nats.prefix")


def _alerts(settings: Settings) -> Iterator[Fault]:
    for name, rule in settings.alerts.rules.by_name().items():
        if rule.critical < rule.warning:
            yield Fault(("alerts", "rules", name, "critical"), "must not be less than warning")
    rate = settings.alerts.rules.failure_rate
    for key in ("warning", "critical"):
        if getattr(rate, key) > 1:
            yield Fault(("alerts", "rules", "failure_rate", key), "must be a fraction: 0.05 is five per cent")


def _notifiers(settings: Settings) -> Iterator[Fault]:
    for name, notifier in settings.notifiers.items():
        needed = "key" if notifier.type == "pagerduty" else "url"
        if not getattr(notifier, needed).get_secret_value():
            yield Fault(("notifiers", name, needed), f"must be set for the type {notifier.type}")
        if notifier.old_keys and not (notifier.type == "webhook" and notifier.key.get_secret_value()):
            yield Fault(("notifiers", name, "old_keys"), "must stand beside the key of a webhook")
        if notifier.type == "webhook" and (fault := signing_secret_fault(notifier.key)):
            yield Fault(("notifiers", name, "key"), fault)


def _bridge(settings: Settings) -> Iterator[Fault]:
    known = settings.work.deadlines_s()
    bridge = settings.bridge.replicate
    for index, work in enumerate(bridge.work):
        if work not in known:
            yield Fault(("bridge", "replicate", "work", index), f"must be one of {', '.join(known)}")
        elif work not in bridge.models:
            yield Fault(("bridge", "replicate", "models", work), "must be set, for bridge.replicate.work names it")
