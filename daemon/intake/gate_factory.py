"""The gate of a daemon: the registry, the rules, and what single families demand beside them."""

from dataclasses import replace

from contracts.gate.callback_checks import CallbackChecks
from contracts.gate.gate import Gate
from contracts.gate.rules import GateRules, Mode
from contracts.gate.webhooks import WebhookVerifier
from contracts.registry import REGISTRY
from contracts.subjects import Family
from daemon.settings.model import Settings


def make_gate(settings: Settings, rules: GateRules) -> Gate:
    """As the settings say. Without callback secrets no callback is signed; the settings allow that only on loopback."""
    callbacks = CallbackChecks(_verifier(settings))
    return Gate(REGISTRY, rules, {Family.CALLBACK: callbacks.screen}, {Family.CALLBACK: callbacks.finish})


def import_rules(rules: GateRules) -> GateRules:
    """The rules for what is imported: bare payloads are read too, whatever the mode and the day."""
    return replace(rules, mode=Mode.COMPAT, compat_until=None)


def _verifier(settings: Settings) -> WebhookVerifier | None:
    secrets = [secret.get_secret_value() for secret in settings.callbacks.secrets]
    return WebhookVerifier(secrets, round(settings.callbacks.tolerance_s)) if secrets else None
