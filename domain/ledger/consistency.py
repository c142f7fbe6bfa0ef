"""Whether totals are the sums of their records, and what has to be added to them where they are not.

Records and totals are read in one snapshot. Intake adds to both in one transaction, so the difference between them is
the same before and after it: a correction that was computed beside intake stays right however much came meanwhile, and
needs to lock nothing. It is wrong only where it is applied twice, which a lease prevents.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

Key: TypeAlias = tuple[str | int, ...]
Figures: TypeAlias = tuple[int, ...]
Totals: TypeAlias = Mapping[Key, Figures]

MAX_TOTAL: Final = 2**63 - 1
"""A total stays here, and then says no more of its records."""


def corrections(expected: Totals, stored: Totals) -> dict[Key, Figures]:
    """What is to be added to each total that is wrong, in the order of the keys. A total of nothing comes to zeros."""
    wrong: dict[Key, Figures] = {}
    for key in sorted(expected.keys() | stored.keys()):
        figures = expected.get(key) or (0,) * len(stored[key])
        known = stored.get(key) or (0,) * len(figures)
        missing = tuple(min(right, MAX_TOTAL) - now for right, now in zip(figures, known, strict=True))
        if any(missing) or (key not in stored) or (key not in expected):
            wrong[key] = missing
    return wrong
