"""Settings of what passes through the gate: who may, work and healing, alerts, files, the provider bridge, prices."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, JsonValue, SecretStr, model_validator

from daemon.settings.values import (
    Count,
    EveryHours,
    HttpUrl,
    LocalPath,
    Paths,
    Port,
    Seconds,
    SecretHttpUrl,
    Section,
    SigningSecret,
    SubjectPrefix,
    Texts,
    Words,
)

_NO_SECRET: Final = SecretStr("")
OptionalUsd = Annotated[str, Field(pattern=r"^([0-9]{1,12}(\.[0-9]{1,6})?)?$")]
"""A decimal string in USD; empty: not known."""


class AuthSettings(Section):
    """``[auth]``"""

    mode: Literal["jwt", "none"] = "none"
    ingest: Literal["nats", "jwt"] = "nats"
    """Who vouches for producers: the server's publish permissions, or a token in each message."""
    jwt_secret: SecretStr = _NO_SECRET
    """HS256: 32 bytes or more."""
    jwt_public_key: str = ""
    """EdDSA: a public key in PEM."""
    old_jwt_secrets: Annotated[tuple[SecretStr, ...], Field(strict=False)] = ()
    """Tokens that these signed are accepted too: while the secret is changed, until they have expired."""
    old_jwt_public_keys: Texts = ()
    """Likewise of public keys."""
    issuer: str = ""
    audience: str = ""
    leeway_s: Annotated[float, Field(ge=0, le=3_600, allow_inf_nan=False)] = 30.0
    """How far the clocks of issuer and daemon may be apart."""


class CallbackSettings(Section):
    """``[callbacks]``"""

    secrets: Annotated[tuple[SigningSecret, ...], Field(strict=False)] = ()
    """All of them are accepted: add the new one, change the workers, remove the old one."""
    tolerance_s: Seconds = 300.0
    """Between ``webhook-timestamp`` and the moment the stream stored the callback."""
    reorder_s: Seconds = 60.0
    """How long a callback that came too early may wait for those before it."""


class LimitSettings(Section):
    """``[limits]``"""

    commands_per_second: Count = 10_000
    """By principal."""
    unauthenticated_per_second: Count = 100
    """Requests without a valid token that are looked at, of all callers together; the others are refused unread."""
    uploads_per_minute: Count = 10
    """By principal."""
    reply_prefixes: Annotated[tuple[SubjectPrefix, ...], Field(strict=False, min_length=1)] = ("_INBOX.",)
    """Where receipts and replies may go."""


class SelfHealSettings(Section):
    """``[self_heal]``"""

    interval_s: Seconds = 300.0
    threshold_s: Seconds = 3_600.0
    """Age from which an item without a result is stale."""
    batch_size: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Of each sort, in a round."""
    max_attempts: Annotated[int, Field(ge=1, le=1_000)] = 3
    """How often something is dispatched again before it is given up."""


class WorkTypeSettings(Section):
    """``[work."<type>"]``"""

    deadline_s: Seconds


class WorkSettings(Section):
    """``[work]``: one table for each type of work, the type quoted."""

    job_process: WorkTypeSettings = Field(alias="job.process", default=WorkTypeSettings(deadline_s=1_800.0))
    job_render: WorkTypeSettings = Field(alias="job.render", default=WorkTypeSettings(deadline_s=3_600.0))
    item_analyse: WorkTypeSettings = Field(alias="item.analyse", default=WorkTypeSettings(deadline_s=3_600.0))
    publish: WorkTypeSettings = WorkTypeSettings(deadline_s=600.0)
    instruction_regenerate: WorkTypeSettings = Field(
        alias="instruction.regenerate", default=WorkTypeSettings(deadline_s=600.0)
    )
    screenshot_extract: WorkTypeSettings = Field(alias="screenshot.extract", default=WorkTypeSettings(deadline_s=600.0))

    def deadlines_s(self) -> dict[str, float]:
        """Seconds by type of work: ``{"job.process": 1800.0, ...}``."""
        return {
            field.alias or name: getattr(self, name).deadline_s for name, field in WorkSettings.model_fields.items()
        }


class AlertRuleSettings(Section):
    """``[alerts.rules.<rule>]``"""

    warning: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    critical: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    window_s: Seconds
    cooldown_s: Seconds = 900.0
    """Repeats within it notify nobody."""
    resolve_after_s: Seconds = 300.0
    """How long the signal must have been quiet."""


def _rule(warning: float, critical: float, window_s: float) -> AlertRuleSettings:
    return AlertRuleSettings(warning=warning, critical=critical, window_s=window_s)


class AlertRules(Section):
    """``[alerts.rules]``: rates are fractions, durations say their unit, the others are counts."""

    failure_rate: AlertRuleSettings = _rule(0.05, 0.2, 900.0)
    p95_runtime_ms: AlertRuleSettings = _rule(600_000.0, 1_200_000.0, 3_600.0)
    cost_usd_per_day: AlertRuleSettings = _rule(100.0, 200.0, 86_400.0)
    stuck_jobs: AlertRuleSettings = _rule(10.0, 50.0, 3_600.0)
    dead_letters_open: AlertRuleSettings = _rule(10.0, 100.0, 86_400.0)
    kpi_anomaly: AlertRuleSettings = _rule(1.0, 5.0, 604_800.0)
    work_not_taken: AlertRuleSettings = _rule(1.0, 6.0, 60.0)
    work_given_up: AlertRuleSettings = _rule(1.0, 1.0, 3_600.0)
    outbox_refused: AlertRuleSettings = _rule(1.0, 1.0, 3_600.0)

    @model_validator(mode="before")
    @classmethod
    def _complete_from_defaults(cls, given: object) -> object:
        """A table that sets some keys of a rule keeps that rule's own defaults for the others."""
        if not isinstance(given, Mapping):
            return given
        return {name: _completed(name, values) for name, values in given.items()}

    def by_name(self) -> dict[str, AlertRuleSettings]:
        return {name: getattr(self, name) for name in AlertRules.model_fields}


def _completed(name: str, values: object) -> object:
    field = AlertRules.model_fields.get(name)
    if field is None or not isinstance(values, Mapping):
        return values
    return {**field.get_default().model_dump(), **values}


class AlertSettings(Section):
    """``[alerts]``"""

    interval_s: Seconds = 15.0
    rules: AlertRules = Field(default_factory=AlertRules)


class NotifierSettings(Section):
    """``[notifiers.<name>]``: ``url`` for a webhook or Slack; ``key`` for PagerDuty, whose ``url`` may be replaced."""

    type: Literal["webhook", "slack", "pagerduty"]
    url: SecretHttpUrl = _NO_SECRET
    key: SecretStr = _NO_SECRET
    old_keys: Annotated[tuple[SigningSecret, ...], Field(strict=False)] = ()
    """A webhook is signed with these too, so that the other side may change its secret at any moment."""
    min_severity: Literal["warning", "critical"] = "warning"


class AssetSettings(Section):
    """``[assets]``"""

    max_bytes: Annotated[int, Field(ge=1, le=2**40)] = 50 * 2**20
    upload_ttl_s: Seconds = 3_600.0
    """Life of an upload URL; an unconfirmed upload goes after it."""
    url_ttl_s: Seconds = 3_600.0
    """Life of a signed download URL."""
    url_secret: SecretStr = _NO_SECRET
    """Signs URLs; the same for daemons behind one address. Empty: made once and kept in ``daemon.state_dir``."""
    old_url_secrets: Annotated[tuple[SecretStr, ...], Field(strict=False)] = ()
    """URLs that these signed are accepted too: to change the secret, put the old one here until its URLs have ended."""
    scan_command: Words = ()
    """Called with the path of a file; another exit code than 0 refuses the upload. Empty: none."""


class ImportSettings(Section):
    """``[imports]``"""

    enabled: bool = True
    dir: LocalPath = Path("var/imports")
    """Imports read regular files under this folder only."""


class BackupSettings(Section):
    """``[backup]``"""

    dir: LocalPath = Path("var/backups")
    keep: Count = 7
    every_h: EveryHours = 0.0
    """How often a copy is made by itself; 0: never."""


class BridgeModelSettings(Section):
    """``[bridge.replicate.models."<type>"]``"""

    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+(:[A-Za-z0-9]+)?$")]
    media: Literal["image", "video"] = "video"
    """Which time limit holds."""
    inputs: dict[str, JsonValue] = Field(default_factory=dict)
    """Inputs of the prediction; texts may hold placeholders such as ``{video_uri}``, filled from the work."""
    usd_per_second: OptionalUsd = ""
    """Price of a second of the model; without any price no cost is reported."""
    usd_per_run: OptionalUsd = ""
    """Price of a prediction that succeeded."""


class ReplicateSettings(Section):
    """``[bridge.replicate]``"""

    base_url: HttpUrl = "https://api.replicate.com/v1"
    token: SecretStr = _NO_SECRET
    work: Texts = ()
    """Types of work that this bridge takes; each has a table in ``models``."""
    poll_interval_s: Seconds = 2.0
    image_timeout_s: Seconds = 120.0
    video_timeout_s: Seconds = 600.0
    retries: Annotated[int, Field(ge=0, le=100)] = 2
    http_port: Port = 0
    """Port of the bridge's own ``/metrics``."""
    models: dict[str, BridgeModelSettings] = Field(default_factory=dict)


class BridgeSettings(Section):
    """``[bridge]``"""

    replicate: ReplicateSettings = Field(default_factory=ReplicateSettings)


class PricingSettings(Section):
    """``[pricing]``"""

    files: Paths = ()
    """Price lists of one's own, layered over the packaged ones: a later file wins."""
