"""Libraries that others take where they find them, and that a daemon has no use for."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def spared(*libraries: str) -> Iterator[None]:
    """Within the block an import of *libraries* fails as if they were not installed, for those that do without then.

    What is loaded already stays. Afterwards they can be imported as ever.
    """
    absent = [name for name in libraries if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: "not to be found", says the reference
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
