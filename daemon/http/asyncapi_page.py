"""The AsyncAPI document as a page that needs no script and nothing from another host.

FastStream's own page loads its viewer from a public network; an operations endpoint must also work behind a closed
door.
"""

from collections.abc import Iterator
from html import escape
from typing import Final, cast

import orjson

from contracts.errors import JsonObject, JsonValue

_STYLE: Final = """
:root{color-scheme:light dark;--line:#8884;--soft:#8882;--accent:#0b7285}
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}
h1{margin:0}h2{margin:2.5rem 0 .5rem;border-bottom:1px solid var(--line)}p{margin:.3rem 0}
code,pre{font:13px/1.45 ui-monospace,monospace}code{background:var(--soft);padding:.1em .35em;border-radius:4px}
pre{background:var(--soft);padding:.8rem;border-radius:6px;overflow:auto;max-height:28rem}
details{margin:.4rem 0}summary{cursor:pointer}
section{border:1px solid var(--line);border-radius:8px;padding:.6rem 1rem;margin:.8rem 0}
.act{display:inline-block;min-width:4.5rem;text-align:center;color:#fff;background:var(--accent);
border-radius:4px;font-size:12px;margin-right:.6rem}
.act.send{background:#5f3dc4}nav a{margin-right:1rem}
"""


def render(document: JsonObject) -> str:
    """The page of an AsyncAPI 3 document."""
    info = _object(document["info"])
    title = f"{_text(info['title'])} {_text(info['version'])}"
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{title} - AsyncAPI</title>',
            f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>',
            f"<h1>{title}</h1><p>{_text(info['description'])}</p>",
            f"<p>AsyncAPI {_text(document['asyncapi'])}: <a href='/asyncapi.json'>the document itself</a></p>",
            '<nav><a href="#operations">Operations</a><a href="#messages">Messages</a></nav>',
            '<h2 id="operations">Operations</h2>',
            *_operations(document),
            '<h2 id="messages">Messages</h2>',
            *_messages(document),
            "</body></html>",
        ]
    )


def _operations(document: JsonObject) -> Iterator[str]:
    channels = _object(document["channels"])
    for name, value in _object(document["operations"]).items():
        operation = _object(value)
        channel = _object(channels[_last(operation["channel"])])
        action = _text(operation["action"])
        yield f'<section id="{_text(name)}"><p><span class="act {action}">{action}</span>'
        yield f"<code>{_text(channel['address'])}</code></p>"
        if "summary" in operation or "description" in channel:
            yield f"<p>{_text(operation.get('summary') or channel['description'])}</p>"
        links = ", ".join(_link(key, message) for key, message in _object(channel.get("messages", {})).items())
        yield f"<p>Messages: {links}</p></section>"


def _link(key: str, message: JsonValue) -> str:
    target = _last(message) if "$ref" in _object(message) else key
    return f'<a href="#message-{escape(target)}">{escape(target)}</a>'


def _messages(document: JsonObject) -> Iterator[str]:
    components = _object(document["components"])
    for name, value in _object(components["messages"]).items():
        message = _object(value)
        yield f'<section id="message-{_text(name)}"><p><strong>{_text(message.get("title") or name)}</strong></p>'
        if "summary" in message or "description" in message:
            yield f"<p>{_text(message.get('summary') or message['description'])}</p>"
        yield f"<details><summary>Definition</summary><pre>{_json(message)}</pre></details></section>"
    yield "<h2>Schemas</h2>"
    for name, schema in _object(components["schemas"]).items():
        yield f'<section id="schema-{_text(name)}"><details><summary>{_text(name)}</summary>'
        yield f"<pre>{_json(schema)}</pre></details></section>"


def _json(value: JsonValue) -> str:
    return escape(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def _last(reference: JsonValue) -> str:
    """The name at the end of ``{"$ref": "#/…/name"}``."""
    return str(_object(reference)["$ref"]).rpartition("/")[2]


def _text(value: JsonValue) -> str:
    return escape(str(value))


def _object(value: JsonValue) -> JsonObject:
    return cast(JsonObject, value)
