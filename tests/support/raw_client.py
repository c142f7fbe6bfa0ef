"""A producer with a socket of its own: bytes as no client library would send them."""

import asyncio
import json
from urllib.parse import unquote, urlsplit


async def publish_raw(url: str, subject: bytes, headers: bytes, body: bytes) -> None:
    """Publish once to the server at *url* (the credentials stand in it); it has been taken when this returns."""
    server = urlsplit(url)
    reader, writer = await asyncio.open_connection(server.hostname, server.port)
    await reader.readline()
    options: dict[str, object] = {"headers": True, "verbose": False}
    if server.password is None:
        options["auth_token"] = unquote(server.username or "")
    else:
        options |= {"user": unquote(server.username or ""), "pass": unquote(server.password)}
    writer.write(b"CONNECT " + json.dumps(options).encode() + b"\r\n")
    sizes = (len(headers), len(headers) + len(body))
    writer.write(b"HPUB %s %d %d\r\n%s%s\r\nPING\r\n" % (subject, *sizes, headers, body))
    assert await reader.readline() == b"PONG\r\n"
    writer.close()
    await writer.wait_closed()
