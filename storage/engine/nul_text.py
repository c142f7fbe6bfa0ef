"""Text that may hold U+0000, in a form that PostgreSQL can hold too, without loss.

PostgreSQL's ``text`` knows every character but U+0000. A control character escapes it, and itself; control characters
follow, so that for the search, to which all of them are blanks, the words on both sides stay what they were.
"""

from typing import Final

_ESCAPE: Final = "\x1a"  # SUBSTITUTE: for a character that cannot be represented
_NUL: Final = _ESCAPE + "\x01"
_ITSELF: Final = _ESCAPE + "\x02"


def to_stored(text: str) -> str:
    return text.replace(_ESCAPE, _ITSELF).replace("\0", _NUL)


def from_stored(stored: str) -> str:
    return stored.replace(_NUL, "\0").replace(_ITSELF, _ESCAPE)
