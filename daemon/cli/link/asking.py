"""Asking the daemon: one command, one answer; what goes wrong on the way is one line and an exit code."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from daemon.cli.shared import NO_DAEMON, USAGE, fail, print_json

if TYPE_CHECKING:
    from contracts.errors import JsonObject
    from daemon.cli.link.link import Locate
    from daemon.cli.link.requests import Answer
    from daemon.settings.model import Settings


@dataclass(frozen=True, slots=True)
class Asker:
    """Where the daemon is, who asks, and how answers are wanted."""

    settings: "Settings"
    locate: "Locate"
    token: str | None
    timeout_s: float
    as_json: bool

    def ask(self, command: str, payload: "JsonObject") -> "Answer":
        """The answer of the ops command *command*; ends the program where there is none."""
        from contracts.subjects import ops as ops_subject

        return self.request(ops_subject(command), command, payload)

    def request(self, bare_subject: str, kind: str, payload: "JsonObject") -> "Answer":
        """The answer of the command *kind* at a subject without its prefix; ends the program where there is none."""
        import asyncio

        from contracts.subjects import Subjects
        from daemon.cli.link.link import Link
        from daemon.cli.link.requests import NobodyListens, Unanswered, ask

        subject = Subjects(self.settings.nats.prefix).full(bare_subject)

        async def asking() -> "Answer":
            link = Link(
                self.locate,
                inbox_prefix=self.settings.limits.reply_prefixes[0],
                credentials=self.settings.nats.credentials,
            )
            try:
                return await ask(link, subject, kind, payload, token=self.token, timeout_s=self.timeout_s)
            finally:
                await link.close()

        try:
            return asyncio.run(asking())
        except NobodyListens as error:
            known = _known(bare_subject)
            if kind in known:
                fail(str(error), as_json=self.as_json, code=NO_DAEMON)
            fail(f"{error}; commands of this version: {', '.join(known)}", as_json=self.as_json, code=USAGE)
        except Unanswered as error:
            fail(str(error), as_json=self.as_json, code=NO_DAEMON)

    def show(self, command: str, answer: "Answer") -> None:
        """The result on standard output, an error on standard error; as JSON where that was asked for."""
        if self.as_json:
            print_json(answer.result if answer.error is None else {"error": answer.error})
            return
        from daemon.cli.output.answers import render, render_error
        from daemon.cli.output.tables import console

        if answer.error is not None:
            out = console(stderr=True)
            for piece in render_error(answer.error):
                out.print(piece, crop=False)
            return
        out = console()
        for piece in render(command, answer.result):
            out.print(piece, crop=False)


def _known(bare_subject: str) -> list[str]:
    """The commands of the same sort as the subject's."""
    from contracts.registry import REGISTRY
    from contracts.subjects import Family

    family = Family.OPS if bare_subject.startswith(f"{Family.OPS}.") else Family.COMMAND
    return sorted(contract.kind for contract in REGISTRY.contracts(family))
