"""Which handler takes which kind: kinds with one handler reach it as one group."""

from types import MappingProxyType
from typing import Final

from handlers.effects import Families
from handlers.sessions import take_sessions

FAMILIES: Final[Families] = MappingProxyType({"session.event": take_sessions, "session.usage": take_sessions})
