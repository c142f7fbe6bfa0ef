"""What the embedded nats-server is told: its users, its listeners, its store."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from adapters.nats.server.quoting import quoted

Sync = Literal["always", "interval"]

LOOPBACK: Final = "127.0.0.1"
OWNER: Final = "headgate"
"""The user of the daemon, of its command line and of whoever may read ``runtime.json``."""

# JetStream refuses a stream whose max_bytes it could not reserve. What protects the disk is max_bytes itself and
# the probe, so the server's own ceiling is out of the way.
MAX_FILE_STORE_BYTES: Final = 1 << 50


@dataclass(frozen=True, slots=True)
class WebsocketUser:
    """A user for pages: by WebSocket only, from *origins* only, with no more than these subjects.

    ``port`` 0 takes the port of the last start where it is free, else any.
    """

    name: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    origins: tuple[str, ...]
    port: int = 0


@dataclass(frozen=True, slots=True)
class ServerConfiguration:
    """One start of the server; a port of 0 is any free one."""

    state_dir: Path
    store_dir: Path
    log_file: Path
    port: int
    sync: Sync
    max_payload: int
    secret: str
    websocket: WebsocketUser | None
    websocket_port: int
    websocket_secret: str

    def text(self) -> str:
        """The configuration file."""
        sync = "\n  sync_interval: always" if self.sync == "always" else ""
        return f"""\
host: "{LOOPBACK}"
port: {self.port or -1}
http: "{LOOPBACK}:-1"
ports_file_dir: {quoted(str(self.state_dir))}
log_file: {quoted(str(self.log_file))}
logfile_size_limit: 10MB
logfile_max_num: 3
max_payload: {self.max_payload}
max_pending: 64MB
lame_duck_duration: "30s"
lame_duck_grace_period: "1s"
authorization {{ users: [
{self._users()}
] }}
jetstream {{
  store_dir: {quoted(str(self.store_dir))}
  max_memory_store: 64MB
  max_file_store: {MAX_FILE_STORE_BYTES}{sync}
}}
{self._websocket()}"""

    def _users(self) -> str:
        users = [f'  {{ user: "{OWNER}", password: {quoted(self.secret)}, allowed_connection_types: ["STANDARD"] }}']
        page = self.websocket
        if page is not None:
            rights = f"publish: {{ allow: {_listed(page.publish)} }}, subscribe: {{ allow: {_listed(page.subscribe)} }}"
            users.append(
                f"  {{ user: {quoted(page.name)}, password: {quoted(self.websocket_secret)}, "
                f'allowed_connection_types: ["WEBSOCKET"], permissions: {{ {rights} }} }}'
            )
        return "\n".join(users)

    def _websocket(self) -> str:
        if self.websocket is None:
            return ""
        origins = _listed(self.websocket.origins)
        listens = f'host: "{LOOPBACK}", port: {self.websocket_port or -1}, no_tls: true'
        return f"websocket {{ {listens}, allowed_origins: {origins} }}\n"


def _listed(words: tuple[str, ...]) -> str:
    return f"[{', '.join(map(quoted, words))}]"
