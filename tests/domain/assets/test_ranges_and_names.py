"""Ranges and file names as requests and people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.assets.file_names import content_disposition, safe_name
from domain.assets.ranges import NoSuchPart, Part, part_of

ETAG = '"abc"'


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ("bytes=0-0", Part(0, 1)),
        ("bytes=5-", Part(5, 10)),
        ("bytes=-3", Part(7, 10)),
        ("bytes=-30", Part(0, 10)),
        ("BYTES=2-99", Part(2, 10)),
        ("bytes=10-", NoSuchPart.UNSATISFIABLE),
        ("bytes=-0", NoSuchPart.UNSATISFIABLE),
        ("bytes=3-2", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("items=0-1", None),
        ("bytes=٣-٤", None),
        (None, None),
    ],
)
def test_a_range_is_one_part_or_the_whole(wanted: str | None, part: Part | NoSuchPart | None) -> None:
    assert part_of(10, wanted, condition=None, etag=ETAG) == part


def test_a_range_of_another_file_is_the_whole_of_this_one() -> None:
    assert part_of(10, "bytes=0-1", condition='"other"', etag=ETAG) is None
    assert part_of(10, "bytes=0-1", condition=f" {ETAG} ", etag=ETAG) == Part(0, 2)


@given(st.text(max_size=40), st.integers(0, 100))
def test_every_part_lies_within_the_file(wanted: str, size: int) -> None:
    part = part_of(size, wanted, condition=None, etag=ETAG)
    if isinstance(part, Part):
        assert 0 <= part.start < part.end <= size


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\a\\film.mov", "film.mov"),
        ("..", "file"),
        (".hidden", "hidden"),
        ("a\u202egnp.exe", "a_gnp.exe"),
        ('x"; filename="evil.html', "x_; filename=_evil.html"),
        ("Straße 日本.png", "Straße 日本.png"),
        ("n" * 300 + ".png", "n" * 196 + ".png"),
    ],
)
def test_of_a_name_only_what_does_no_harm_is_kept(given_name: str, kept: str) -> None:
    assert safe_name(given_name) == kept


@given(st.text(min_size=1, max_size=300))
def test_no_name_breaks_a_header_or_leaves_its_folder(given_name: str) -> None:
    kept = safe_name(given_name)
    assert 0 < len(kept) <= 200
    assert "/" not in kept
    assert "\\" not in kept
    assert kept not in (".", "..")
    told = content_disposition(kept)
    assert told.isascii()
    assert told.isprintable()
    assert told.count('"') == 2
