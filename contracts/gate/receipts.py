"""Where a receipt or a reply may go: the daemon publishes with its own rights, so only reply subjects are allowed."""

from collections.abc import Mapping
from typing import Final

from contracts.errors import Problem, invalid_field
from contracts.gate.rules import GateRules

RECEIPT_HEADER: Final = "Headgate-Receipt"
RECEIPT_PATH: Final = f"headers.{RECEIPT_HEADER}"
# Servers read the subject of a publish as one control line, of 4096 bytes unless set otherwise, and cut the connection
# over a longer one; a header may be far longer than that.
MAX_SUBJECT_BYTES: Final = 1024


OWN_INBOXES: Final = "_INBOX.headgate"
"""Where the answers to the daemons' own requests arrive: what others send there would be taken for one."""


def may_receive(subject: str, rules: GateRules) -> bool:
    """Whether a subject is a literal one under an allowed prefix, not under our own, our inboxes or the server's."""
    if subject == rules.prefix or subject.startswith(("$", f"{rules.prefix}.", f"{OWN_INBOXES}.")):
        return False
    if not any(subject.startswith(prefix) and len(subject) > len(prefix) for prefix in rules.reply_prefixes):
        return False
    return is_literal(subject)


def is_literal(subject: str) -> bool:
    """Whether a subject can be published to: non-empty tokens of printable characters, no space and no wildcard."""
    return (
        subject.isprintable()
        and not any(forbidden in subject for forbidden in " *>")
        and all(subject.split("."))
        and len(subject.encode()) <= MAX_SUBJECT_BYTES
    )


def receipt_subject(headers: Mapping[str, str], rules: GateRules) -> str | Problem | None:
    """Where the outcome of a message is to be published; None: none was asked for; a problem: it may not go there."""
    subject = headers.get(RECEIPT_HEADER)
    if subject is None:
        return None
    return subject if may_receive(subject, rules) else _NOT_ALLOWED


_NOT_ALLOWED: Final = invalid_field(
    RECEIPT_PATH, "receipt_subject", "Subject should be a literal one under an allowed reply prefix"
)
