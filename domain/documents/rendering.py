"""An instruction as a document to read: Markdown, or one HTML file that needs nothing else and runs nothing.

What people wrote is text and stays text: it is escaped for the language it is put into. Bytes of pictures are only
named here; whoever writes the file puts them in place, so that no picture is ever in memory whole.
"""

import html
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from msgspec import Struct


class Picture(Struct, frozen=True):
    """An asset of the document. ``name`` is its place beside the document, made by us and never by whoever sent it."""

    asset_id: str
    name: str
    media_type: str
    sha256: str
    size: int

    @property
    def is_image(self) -> bool:
        return self.media_type.startswith("image/")


class DocumentBlock(Struct, frozen=True):
    type: str
    text: str
    pictures: Sequence[Picture] = ()


class Document(Struct, frozen=True):
    """All that is shown. ``origin`` are lines that say where it is from."""

    title: str
    blocks: Sequence[DocumentBlock]
    origin: Sequence[str] = ()
    video_url: str | None = None


class Embedded(Struct, frozen=True):
    """Here go the bytes of an asset, in base64."""

    picture: Picture


Part: TypeAlias = str | Embedded

# -- Markdown

_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>|~])")
_LEADING: Final = re.compile(r"^(\s*)([#>+=-]|\d+[.)])", re.MULTILINE)


def markdown(document: Document, *, beside: bool) -> str:
    """The document as Markdown; *beside* says that its pictures lie beside it, else they are only named."""
    lines = [f"# {_md(document.title)}", ""]
    if document.video_url is not None and (link := web_link(document.video_url)) is not None:
        lines += [f"[Video](<{link}>)", ""]
    step = 0
    for block in document.blocks:
        step = step + 1 if block.type == "step" else step
        lines += [_md_block(block, step), ""]
        for picture in block.pictures:
            lines += [_md_picture(picture, beside), ""]
    lines += ["---", "", *(f"{_md(line)}  " for line in document.origin)]
    return "\n".join(lines) + "\n"


def _md_block(block: DocumentBlock, step: int) -> str:
    text = _md(block.text)
    match block.type:
        case "heading":
            return "## " + " ".join(text.split())
        case "step":
            number = f"{step}. "
            return number + text.replace("\n", "\n" + " " * len(number))
        case "note":
            return "> " + text.replace("\n", "\n> ")
        case _:
            return text


def _md_picture(picture: Picture, beside: bool) -> str:
    if not beside:
        return f"*{picture.media_type}, SHA-256 {picture.sha256}*"
    mark = "!" if picture.is_image else ""
    return f"{mark}[{picture.name.rpartition('/')[2]}]({picture.name})"


def _md(text: str) -> str:
    """Text that Markdown shows as it is."""
    return _LEADING.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", text))


# -- HTML

_STYLE: Final = """
:root { color-scheme: light dark }
body { font: 17px/1.6 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1.25rem }
h1 { font-size: 1.9rem; line-height: 1.2 } h2 { font-size: 1.3rem; margin-top: 2.2rem }
.step { display: grid; grid-template-columns: 2.4rem 1fr; margin: 1.1rem 0 }
.step > b { width: 1.7rem; height: 1.7rem; border-radius: 50%; background: #1f5fbf; color: #fff; text-align: center;
  line-height: 1.7rem; font-size: .9rem }
.text { white-space: pre-wrap; overflow-wrap: anywhere; margin: .2rem 0 }
aside { border-left: 4px solid #d99a00; padding: .3rem 1rem; margin: 1.1rem 0; background: #d99a001a }
figure { margin: 1rem 0 } img { max-width: 100%; height: auto; border: 1px solid #8886; border-radius: 6px }
footer { margin-top: 3rem; border-top: 1px solid #8886; padding-top: 1rem; font-size: .8rem; opacity: .75;
  overflow-wrap: anywhere }
"""
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def html_parts(document: Document) -> Iterator[Part]:
    """The document as one HTML file, part by part."""
    yield (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_html(document.title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{_html(document.title)}</h1>\n"
    )
    if document.video_url is not None and (link := web_link(document.video_url)) is not None:
        yield f'<p><a href="{_html(link)}" rel="noopener noreferrer">Video</a></p>\n'
    step = 0
    for block in document.blocks:
        step = step + 1 if block.type == "step" else step
        yield from _html_block(block, step)
    lines = "<br>".join(map(_html, document.origin))
    yield f"<footer>{lines}</footer>\n</body></html>\n"


def _html_block(block: DocumentBlock, step: int) -> Iterator[Part]:
    text = f'<p class="text">{_html(block.text)}</p>'
    if block.type == "heading":
        yield f"<h2>{_html(block.text)}</h2>\n"
        yield from _figures(block.pictures)
    elif block.type == "step":
        yield f'<div class="step"><b>{step}</b><div>{text}'
        yield from _figures(block.pictures)
        yield "</div></div>\n"
    else:
        tag = "aside" if block.type == "note" else "div"
        yield f"<{tag}>{text}"
        yield from _figures(block.pictures)
        yield f"</{tag}>\n"


def _figures(pictures: Sequence[Picture]) -> Iterator[Part]:
    for picture in pictures:
        if picture.is_image:
            yield f'<figure><img alt="{_html(picture.name)}" src="data:{picture.media_type};base64,'
            yield Embedded(picture)
            yield '"></figure>'
        else:
            yield f'<p class="text">{_html(picture.media_type)}, SHA-256 {picture.sha256}</p>'


_html: Final[Callable[[str], str]] = html.escape


def web_link(url: str) -> str | None:
    """The URL where it leads to the web and nowhere else; None for all others, which are not made links."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url.replace("<", "%3C").replace(">", "%3E") if parts.scheme in ("http", "https") and parts.netloc else None
