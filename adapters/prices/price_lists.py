"""Price lists of one's own: TOML files that know better than the package.

    version = "acme-2026-11"            # stands in every row that is priced by this list
    currency = "USD"

    [[models]]
    match = "gpt-4o"                    # a name or a glob; case does not matter
    aliases = ["azure/acme-gpt-*"]      # further names or globs
    from = 2026-11-01                   # inclusive; a date (UTC) or a time with an offset; absent: always
    until = 2027-01-01                  # exclusive; absent: for ever
    input_usd_per_mtok = "2.50"         # dollars for a million tokens, a string: floating point is refused
    output_usd_per_mtok = "10"

An entry may name a model with its provider (``openai/gpt-4o``: that provider's only) or without (every provider's).
Anything wrong in a file is one :class:`PriceListError` of one line that names the file and the place.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fnmatch import translate
from importlib.metadata import version as installed
from pathlib import Path
from typing import Final

from contracts.values.money import NotMoney, parse_usd
from contracts.values.prices import UnitPrices

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LIST_KEYS: Final = frozenset({"version", "currency", "models"})
_MODEL_KEYS: Final = frozenset({"match", "aliases", "from", "until", "input_usd_per_mtok", "output_usd_per_mtok"})
_GLOB: Final = re.compile(r"[*?\[]")
MAX_VERSION_LENGTH: Final = 100

FOREVER: Final = 2**63 - 1
"""Later than every time that a message can name, in microseconds since the epoch."""


def package_version() -> str:
    """The version of the price list that the package is."""
    return f"genai-prices:{installed('genai-prices')}"


class PriceListError(ValueError):
    """A price list that cannot be used. The message is one line: the file, the place, the rule."""


@dataclass(frozen=True, slots=True)
class PriceEntry:
    """The prices of the models of some names during a time: ``start`` inclusive, ``end`` exclusive, in microseconds."""

    names: frozenset[str]
    globs: tuple[re.Pattern[str], ...]
    start: int
    end: int
    prices: UnitPrices

    def globs_match(self, name: str) -> bool:
        return any(glob.fullmatch(name) for glob in self.globs)


@dataclass(frozen=True, slots=True)
class PriceList:
    """One file: its version, where it came from, and its entries in their order."""

    version: str
    source: str
    entries: tuple[PriceEntry, ...]

    def entries_for(self, names: Sequence[str]) -> list[PriceEntry]:
        """The entries for a model under any of its *names* (lower case, most exact first), the winner first.

        A name that is written out beats a glob; of equals the later entry of the file wins.
        """
        found: list[PriceEntry] = []
        for name in names:
            found.extend(entry for entry in reversed(self.entries) if name in entry.names)
            found.extend(entry for entry in reversed(self.entries) if entry.globs_match(name))
        return found


def read_price_list(path: Path) -> PriceList:
    """The price list in a file.

    Raises :class:`PriceListError` where the file cannot be read or says something that is not allowed.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PriceListError(f"{path}: {error.strerror or type(error).__name__}") from error
    except UnicodeDecodeError as error:
        raise PriceListError(f"{path}: is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise PriceListError(f"{path}: {error}") from error
    try:
        return _price_list(document, str(path))
    except PriceListError as error:
        raise PriceListError(f"{path}: {error}") from None


def _price_list(document: dict[str, object], source: str) -> PriceList:
    _refuse_unknown(document, _LIST_KEYS, "")
    version = document.get("version")
    if not isinstance(version, str) or not 1 <= len(version) <= MAX_VERSION_LENGTH or not version.isprintable():
        raise PriceListError(f"version: must be a string of 1 to {MAX_VERSION_LENGTH} printable characters")
    if document.get("currency") != "USD":
        raise PriceListError('currency: must be "USD"')
    models = document.get("models")
    if not isinstance(models, list) or not models:
        raise PriceListError("models: must hold at least one [[models]]")
    entries = tuple(_entry(model, f"models[{index}]", version) for index, model in enumerate(models))
    _refuse_overlaps(entries)
    return PriceList(version, source, entries)


def _entry(model: object, place: str, version: str) -> PriceEntry:
    if not isinstance(model, dict):
        raise PriceListError(f"{place}: must be a table")
    _refuse_unknown(model, _MODEL_KEYS, f"{place}.")
    match, aliases = model.get("match"), model.get("aliases", [])
    if not isinstance(match, str) or not match:
        raise PriceListError(f"{place}.match: must be a name or a glob")
    if not isinstance(aliases, list) or not all(isinstance(alias, str) and alias for alias in aliases):
        raise PriceListError(f"{place}.aliases: must be a list of names or globs")
    patterns = [pattern.lower() for pattern in (match, *aliases)]
    start = _instant(model.get("from"), f"{place}.from", -FOREVER)
    end = _instant(model.get("until"), f"{place}.until", FOREVER)
    if end <= start:
        raise PriceListError(f"{place}.until: must be later than from")
    return PriceEntry(
        names=frozenset(pattern for pattern in patterns if not _GLOB.search(pattern)),
        globs=tuple(re.compile(translate(pattern)) for pattern in patterns if _GLOB.search(pattern)),
        start=start,
        end=end,
        prices=UnitPrices(
            _micros(model.get("input_usd_per_mtok"), f"{place}.input_usd_per_mtok"),
            _micros(model.get("output_usd_per_mtok"), f"{place}.output_usd_per_mtok"),
            version,
        ),
    )


def _refuse_unknown(table: dict[str, object], known: frozenset[str], place: str) -> None:
    unknown = sorted(table.keys() - known)
    if unknown:
        raise PriceListError(f"{place}{unknown[0]!r}: is not a known key")


def _instant(value: object, place: str, absent: int) -> int:
    if value is None:
        return absent
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise PriceListError(f"{place}: a time needs an offset")
        return (value - _EPOCH) // _MICROSECOND
    if isinstance(value, date):
        return (datetime(value.year, value.month, value.day, tzinfo=UTC) - _EPOCH) // _MICROSECOND
    raise PriceListError(f"{place}: must be a date or a time with an offset")


def _micros(value: object, place: str) -> int:
    try:
        return parse_usd(value if isinstance(value, str) else "")
    except NotMoney:
        raise PriceListError(f'{place}: must be a decimal string such as "2.50" (at most 6 decimal places)') from None


def _refuse_overlaps(entries: Sequence[PriceEntry]) -> None:
    """Two prices for one name at one time in one file are a slip of the pen; globs may overlap on purpose."""
    for index, entry in enumerate(entries):
        for other_index, other in enumerate(entries[:index]):
            if entry.names & other.names and entry.start < other.end and other.start < entry.end:
                name = min(entry.names & other.names)
                raise PriceListError(f"models[{index}]: {name!r} has a price at that time in models[{other_index}]")
