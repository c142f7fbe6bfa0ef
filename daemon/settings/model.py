"""All settings as one model."""

from typing import Annotated

from pydantic import Field

from daemon.settings.pipeline import (
    AlertSettings,
    AssetSettings,
    AuthSettings,
    BackupSettings,
    BridgeSettings,
    CallbackSettings,
    ImportSettings,
    LimitSettings,
    NotifierSettings,
    PricingSettings,
    SelfHealSettings,
    WorkSettings,
)
from daemon.settings.process import (
    AuditSettings,
    ConsoleSettings,
    ContractsSettings,
    DaemonSettings,
    HttpSettings,
    IntakeSettings,
    LogSettings,
    NatsSettings,
    OutboxSettings,
    RetentionSettings,
    StorageSettings,
)
from daemon.settings.values import Section

NotifierName = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,50}$")]


class Settings(Section):
    """All settings, valid together. ``Settings()`` is the default of every key."""

    daemon: DaemonSettings = Field(default_factory=DaemonSettings)
    nats: NatsSettings = Field(default_factory=NatsSettings)
    storage: StorageSettings = Field(default_factory=StorageSettings)
    contracts: ContractsSettings = Field(default_factory=ContractsSettings)
    intake: IntakeSettings = Field(default_factory=IntakeSettings)
    outbox: OutboxSettings = Field(default_factory=OutboxSettings)
    auth: AuthSettings = Field(default_factory=AuthSettings)
    callbacks: CallbackSettings = Field(default_factory=CallbackSettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    self_heal: SelfHealSettings = Field(default_factory=SelfHealSettings)
    work: WorkSettings = Field(default_factory=WorkSettings)
    alerts: AlertSettings = Field(default_factory=AlertSettings)
    notifiers: dict[NotifierName, NotifierSettings] = Field(default_factory=dict)
    assets: AssetSettings = Field(default_factory=AssetSettings)
    imports: ImportSettings = Field(default_factory=ImportSettings)
    backup: BackupSettings = Field(default_factory=BackupSettings)
    bridge: BridgeSettings = Field(default_factory=BridgeSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    audit: AuditSettings = Field(default_factory=AuditSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    console: ConsoleSettings = Field(default_factory=ConsoleSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    pricing: PricingSettings = Field(default_factory=PricingSettings)

    def masked(self) -> dict[str, object]:
        """Every effective value as JSON types, secrets and credentials struck out."""
        return self.model_dump(mode="json", by_alias=True)
