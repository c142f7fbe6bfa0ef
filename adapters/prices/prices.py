"""Prices over time: lists of one's own, layered over the data that ``genai-prices`` ships with.

The package's data is a snapshot that changes only with the package: nothing is fetched while the daemon runs, and a
price that was looked up once is the same tomorrow. Its rules are asked once for each model, the answers laid out as
a schedule of integers, so that a price on the way of a message costs a dictionary and two binary searches at most.

Model names come from messages, so everything kept for a name is bounded.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from adapters.prices.price_lists import PriceEntry, PriceList, PriceListError, package_version, read_price_list
from contracts.values.prices import UnitPrices

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo

KNOWN_NAMES: Final = 4096
"""How many model names are remembered, unknown ones included."""


class _Priced(Protocol):
    """What is known of one model."""

    def find(self, at: int, input_tokens: int) -> UnitPrices | None: ...


@dataclass(frozen=True, slots=True)
class _Layered:
    """Entries of one's own, the winner first, over what the package knows."""

    entries: tuple[PriceEntry, ...]
    base: _Priced | None

    def find(self, at: int, input_tokens: int) -> UnitPrices | None:
        for entry in self.entries:
            if entry.start <= at < entry.end:
                return entry.prices
        return None if self.base is None else self.base.find(at, input_tokens)


class LayeredPrices:
    """The price book of the daemon: the last of *lists* wins, the package is asked last.

    Lists only speak for the times they name: before its ``from`` and from its ``until`` on, the next one is asked.
    """

    def __init__(self, lists: Sequence[PriceList] = ()) -> None:
        package = package_version()
        versions = [package]
        for own in lists:
            if own.version in versions:
                raise PriceListError(f"{own.source}: version: {own.version!r} is the version of another list")
            versions.append(own.version)
        self._newest_first = tuple(reversed(lists))
        self.sources: Final = ((package, "package"), *((own.version, own.source) for own in lists))
        """Every version in force with where it comes from, in the order of layering."""
        self._schedules: dict[int, _Priced | None] = {}
        # Belongs to the book and goes with it; safe between threads.
        self._known = lru_cache(maxsize=KNOWN_NAMES)(self._resolve)

    def find(self, model: str, at: int, input_tokens: int) -> UnitPrices | None:
        """The prices of *model* at *at* (microseconds since the epoch, UTC), or ``None`` where no list knows them.

        *model* may be given as ``provider/model`` or ``provider:model``; the case of letters does not matter.
        """
        known = self._known(model)
        return None if known is None else known.find(at, input_tokens)

    def _resolve(self, model: str) -> _Priced | None:
        from adapters.prices.package_prices import own_names, package_model

        name = model.lower()
        found = package_model(name)
        base = None if found is None else self._package_prices(found)
        names = own_names(name)
        entries = tuple(entry for own in self._newest_first for entry in own.entries_for(names))
        return _Layered(entries, base) if entries else base

    def _package_prices(self, model: "ModelInfo") -> _Priced | None:
        from adapters.prices.package_prices import schedule

        # Many names mean one model. The package's models live as long as the process, so their identity is a key.
        key = id(model)
        if key not in self._schedules:
            self._schedules[key] = schedule(model)
        return self._schedules[key]


def load_price_book(files: Iterable[Path]) -> LayeredPrices:
    """The price book with the lists of *files*, the newest last.

    Raises :class:`PriceListError`, one line, where a file cannot be used or two lists have the same version.
    """
    return LayeredPrices([read_price_list(path) for path in files])
