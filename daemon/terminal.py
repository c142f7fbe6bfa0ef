"""Text for terminals: what came from outside must not steer them."""


def escaped(text: str) -> str:
    """The text with every character that does not print (controls, escapes, direction marks, line breaks) written as
    an escape sequence, so that a value can neither clear a screen nor forge a line.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _sequence(char) for char in text)


def escaped_lines(text: str) -> str:
    """The same for text of several lines, such as a traceback: line breaks stay."""
    return "\n".join(escaped(line.expandtabs(4)) for line in text.splitlines())


def _sequence(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
