"""What a check finds wrong: a sentence for each rule, how often it was broken, and some of the cases."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

_EXAMPLES: Final = 3


class Findings:
    """Broken rules, in the order in which they were found."""

    def __init__(self) -> None:
        self._cases: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, rule: str, case: object) -> None:
        self._cases[rule].append(str(case)[-600:])

    def __bool__(self) -> bool:
        return bool(self._cases)

    def lines(self) -> Iterator[str]:
        for rule, cases in self._cases.items():
            yield f"{rule}: {len(cases)} times; for example {'; '.join(cases[:_EXAMPLES])}"
