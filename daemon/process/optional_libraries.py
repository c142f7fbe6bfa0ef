"""Libraries that others import where they are installed, and that a daemon has no use for.

Structlog and httpx do so with rich, which the command line has for its tables: structlog for tracebacks that show local
variables, secrets among them, httpx for a command line of its own. Six megabytes and a twentieth of a second of
processor time at each start would go to what is never shown.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def as_if_not_installed(*libraries: str) -> Iterator[None]:
    """Within the block an import of *libraries* raises ``ImportError``: those that can do without them then do.

    What is loaded already stays. Afterwards they can be imported as ever.
    """
    absent = [name for name in libraries if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: "not to be found", says the reference
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
