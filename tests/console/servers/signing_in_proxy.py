"""A reverse proxy that has signed its user in: page and WebSocket behind one host, the credentials in cookies that no
script can read."""

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

WEBSOCKET_PATH = "/nats"


class SigningInProxy(ThreadingTCPServer):
    """Passes ``/nats`` on to the WebSocket's port and all else to the daemon's, and sets *cookies* with each page."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, *, http_port: int, ws_port: int, cookies: Mapping[str, str]) -> None:
        super().__init__(("127.0.0.1", port), _Connection)
        self.http_port = http_port
        self.ws_port = ws_port
        self.cookies = "".join(
            f"Set-Cookie: {name}={value}; Path={WEBSOCKET_PATH}; HttpOnly; SameSite=Strict\r\n"
            for name, value in cookies.items()
        ).encode()
        self.seen: list[str] = []
        """The heads of the WebSockets' requests."""


class _Connection(BaseRequestHandler):
    server: SigningInProxy

    def handle(self) -> None:
        with suppress(OSError):
            head, rest = _head(self.request)
            is_websocket = head.startswith(f"GET {WEBSOCKET_PATH} ".encode())
            port = self.server.ws_port if is_websocket else self.server.http_port
            with socket.create_connection(("127.0.0.1", port), timeout=60) as behind:
                if is_websocket:
                    self.server.seen.append(head.decode())
                    behind.sendall(head + rest)
                    behind.settimeout(None)
                else:
                    # One request a connection: what follows might be for the other.
                    once = re.sub(rb"(?i)\r\nconnection: [^\r]*", b"\r\nConnection: close", head)
                    behind.sendall(once + rest)
                asking = Thread(target=_pass_on, args=(self.request, behind), daemon=True)
                asking.start()
                if not is_websocket:
                    answer, body = _head(behind)
                    self.request.sendall(answer[:-2] + self.server.cookies + b"\r\n" + body)
                _pass_on(behind, self.request)
                with suppress(OSError):
                    self.request.shutdown(socket.SHUT_RDWR)
                asking.join(5)


def _head(source: socket.socket) -> tuple[bytes, bytes]:
    """The head of a request or an answer, and what came with it."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = source.recv(65_536)
        if not part:
            raise ConnectionError
        data += part
    head, end, rest = data.partition(b"\r\n\r\n")
    return head + end, rest


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def running(proxy: SigningInProxy) -> Iterator[SigningInProxy]:
    with proxy:
        thread = Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join(20)
