"""What operators ask."""

from contracts.payloads.base import Payload


class HealthCheck(Payload):
    """health-check 1.0: every dependency, measured now."""
