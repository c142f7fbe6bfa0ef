"""Settings that were changed and change nothing as things are: told at the start, not passed over in silence."""

from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

from daemon.settings.model import Settings
from daemon.settings.values import Section


class WithoutEffect(NamedTuple):
    """A key, and why it says nothing here."""

    key: str
    reason: str


_EXTERNAL: Final = ("url", "credentials")
_EMBEDDED: Final = ("port", "store_dir", "sync")
_EVERY: Final = "every_h"
_TOKENS: Final = ("jwt_secret", "jwt_public_key", "old_jwt_secrets", "old_jwt_public_keys", "issuer", "audience")


def settings_without_effect(settings: Settings, *, pruned: Collection[str]) -> list[WithoutEffect]:
    """What was set to something else than its default and is not read; *pruned* are the keys of ``retention`` that
    something is removed by."""
    return [
        *_of_nats(settings),
        *_of_contracts(settings),
        *_of_tokens(settings),
        *(
            WithoutEffect(f"retention.{name}", "nothing of the kind is kept yet")
            for name in _changed(settings.retention)
            if name not in (*pruned, _EVERY)
        ),
    ]


def _of_nats(settings: Settings) -> Iterator[WithoutEffect]:
    embedded = settings.nats.mode == "embedded"
    others = _EXTERNAL if embedded else _EMBEDDED
    for name in _changed(settings.nats):
        if name in others:
            yield WithoutEffect(f"nats.{name}", f"nats.mode is {settings.nats.mode}")


def _of_contracts(settings: Settings) -> Iterator[WithoutEffect]:
    if settings.contracts.mode == "strict" and settings.contracts.compat_until is not None:
        yield WithoutEffect("contracts.compat_until", "contracts.mode is strict")


def _of_tokens(settings: Settings) -> Iterator[WithoutEffect]:
    if settings.auth.mode == "none" and settings.auth.ingest == "nats":
        for name in _changed(settings.auth):
            if name in _TOKENS:
                yield WithoutEffect(f"auth.{name}", "nobody is asked for a token: auth.mode is none")


def _changed(section: Section) -> list[str]:
    """The keys whose values are not their defaults. Paths are compared by what was written, resolved or not."""
    defaults = type(section)()
    return [
        name
        for name in type(section).model_fields
        if name in section.model_fields_set and _differs(getattr(section, name), getattr(defaults, name))
    ]


def _differs(value: object, default: object) -> bool:
    return value != default and not str(value).endswith(f"/{default}")
