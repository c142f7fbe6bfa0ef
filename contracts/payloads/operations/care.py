"""What operators ask."""

from contracts.payloads.base import Payload
from contracts.values.types import Flag


class HealthCheck(Payload):
    """health-check 1.0: every dependency, measured now; ``deep`` also compares totals with their records."""

    deep: Flag = False


class ConsoleLink(Payload):
    """console-link 1.0: a one-time link that signs in to the console."""


class SelfHeal(Payload):
    """self-heal 1.0: one round now; ``dry_run`` only tells what it would find."""

    dry_run: Flag = False
