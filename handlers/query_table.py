"""Which query answers which command."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from handlers.commands import Query
from handlers.ledger import get_session

QUERIES: Final[Mapping[str, Query]] = MappingProxyType({"ledger.get": get_session})
