"""A producer with a socket of its own: bytes as no client library would send them."""

import asyncio
from urllib.parse import urlsplit


async def publish_raw(url: str, subject: bytes, headers: bytes, body: bytes) -> None:
    """Publish once to the server at *url* (a token stands in it); it has been taken when this returns."""
    server = urlsplit(url)
    reader, writer = await asyncio.open_connection(server.hostname, server.port)
    await reader.readline()
    writer.write(b'CONNECT {"headers":true,"verbose":false,"auth_token":"%s"}\r\n' % (server.username or "").encode())
    sizes = (len(headers), len(headers) + len(body))
    writer.write(b"HPUB %s %d %d\r\n%s%s\r\nPING\r\n" % (subject, *sizes, headers, body))
    assert await reader.readline() == b"PONG\r\n"
    writer.close()
    await writer.wait_closed()
