"""Text that may hold U+0000, in a form that PostgreSQL can hold too, without loss.

PostgreSQL's ``text`` knows every character but U+0000. A private-use character escapes it, and itself; what follows it
is private-use too, so that the search, for which these are blanks, sees the words on both sides as they were.
"""

from typing import Final

_ESCAPE: Final = "\ue000"
_NUL: Final = _ESCAPE + "\ue001"
_ITSELF: Final = _ESCAPE + "\ue002"


def to_stored(text: str) -> str:
    return text.replace(_ESCAPE, _ITSELF).replace("\0", _NUL)


def from_stored(stored: str) -> str:
    return stored.replace(_NUL, "\0").replace(_ITSELF, _ESCAPE)
