"""Strings of the embedded server's configuration file.

Its strings are not JSON's: beside plain UTF-8 the server knows a backslash before ``t``, ``n``, ``r``, a quote, itself,
and ``x`` with two hexadecimal digits, but no ``u``. Nothing inside double quotes counts as a variable or a comment.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_ESCAPES: Final[Mapping[str, str]] = MappingProxyType({"\\": "\\\\", '"': '\\"', "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_FIRST_PRINTABLE: Final = 0x20
_DELETE: Final = 0x7F


def quoted(text: str) -> str:
    """*text* as a string of the configuration: any path that a file system takes, also one that is not UTF-8."""
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    try:
        raw = character.encode()
    except UnicodeEncodeError:  # a byte of a path that is no UTF-8
        raw = character.encode(errors="surrogateescape")
        return "".join(f"\\x{byte:02X}" for byte in raw)
    code = raw[0]
    return character if code >= _FIRST_PRINTABLE and code != _DELETE else f"\\x{code:02X}"
