"""Documents to read: what people wrote is text and stays text."""

import re

from hypothesis import given
from hypothesis import strategies as st

from domain.documents.rendering import Document, DocumentBlock, Embedded, Picture, html_parts, markdown, web_link

PICTURE = Picture("asset-1", "assets/001-abc.png", "image/png", "abc", 3)


def as_html(document: Document) -> str:
    return "".join(part if isinstance(part, str) else "QUJD" for part in html_parts(document))


def test_steps_are_numbered_through_and_pictures_stand_where_they_belong() -> None:
    document = Document(
        "How to",
        [
            DocumentBlock("heading", "First"),
            DocumentBlock("step", "Open", [PICTURE]),
            DocumentBlock("note", "Careful"),
            DocumentBlock("step", "Close"),
        ],
        ["Job 1"],
        "https://videos.example/1",
    )
    page = as_html(document)
    assert page.index("<b>1</b>") < page.index("data:image/png;base64,QUJD") < page.index("<b>2</b>")
    written = markdown(document, beside=True)
    assert "## First\n\n1. Open\n\n![001-abc.png](assets/001-abc.png)\n\n> Careful\n\n2. Close" in written
    assert "[Video](<https://videos.example/1>)" in written
    assert "assets/" not in markdown(document, beside=False)
    assert [part for part in html_parts(document) if isinstance(part, Embedded)] == [Embedded(PICTURE)]


@given(st.text(max_size=60), st.text(max_size=60))
def test_nothing_that_is_written_becomes_markup(title: str, text: str) -> None:
    types = ("heading", "paragraph", "step", "note")
    plain = as_html(Document("t", [DocumentBlock(each, "x") for each in types]))
    page = as_html(Document(title, [DocumentBlock(each, text) for each in types], [text], text))
    tags = re.findall(r"<([a-z0-9]+)", page)
    assert sorted(set(tags) - {"a", "br"}) == sorted(set(re.findall(r"<([a-z0-9]+)", plain)) - {"a", "br"})


def test_only_addresses_of_the_web_become_links() -> None:
    assert web_link("javascript:alert(1)") is None
    assert web_link("data:text/html,x") is None
    assert web_link("http://[broken") is None
    assert web_link("https://a.example/x>y") == "https://a.example/x%3Ey"


def test_markdown_shows_special_characters_as_they_are() -> None:
    written = markdown(
        Document("*t*", [DocumentBlock("paragraph", "# no heading\n- no list\n<b>[x](y)`")]), beside=True
    )
    assert "\\*t\\*" in written
    assert "\\# no heading\n\\- no list\n\\<b\\>\\[x\\](y)\\`" in written
