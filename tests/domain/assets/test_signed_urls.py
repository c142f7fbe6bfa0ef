"""Signed URLs: a right to one method on one path until a moment, and to nothing else."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.assets.signed_urls import Links, Method

NOW = 1_795_000_000_000_000
SECOND = 1_000_000
LINKS = Links("https://gate.example", (b"a secret of thirty-two bytes ok!",), download_ttl_s=60, leeway_s=5)


def query_of(url: str) -> str:
    return urlsplit(url).query


def test_a_url_is_good_until_its_end_and_the_leeway_of_clocks() -> None:
    url, expires_at = LINKS.download("/assets/1", NOW)
    assert url.startswith("https://gate.example/assets/1?expires=")
    assert expires_at == NOW + 60 * SECOND
    assert LINKS.allows(Method.GET, "/assets/1", query_of(url), NOW)
    assert LINKS.allows(Method.GET, "/assets/1", query_of(url), expires_at + 5 * SECOND)
    assert not LINKS.allows(Method.GET, "/assets/1", query_of(url), expires_at + 5 * SECOND + 1)


def test_another_path_another_method_and_another_end_are_not_allowed() -> None:
    query = query_of(LINKS.download("/assets/1", NOW).url)
    assert not LINKS.allows(Method.GET, "/assets/2", query, NOW)
    assert not LINKS.allows(Method.PUT, "/assets/1", query, NOW)
    expires = query.split("&")[0].removeprefix("expires=")
    assert not LINKS.allows(Method.GET, "/assets/1", query.replace(expires, str(int(expires) + 1)), NOW)


def test_a_secret_is_changed_by_putting_the_new_one_in_front() -> None:
    old = query_of(LINKS.download("/assets/1", NOW).url)
    both = Links("", (b"the new secret", *LINKS.secrets))
    assert both.allows(Method.GET, "/assets/1", old, NOW)
    new = query_of(both.download("/assets/1", NOW).url)
    assert not LINKS.allows(Method.GET, "/assets/1", new, NOW)
    assert not Links("", (b"the new secret",)).allows(Method.GET, "/assets/1", old, NOW)


def test_what_was_signed_once_is_signed_again_and_nothing_else() -> None:
    old = LINKS.download("/assets/1", NOW - 10**12).url
    new = LINKS.renewed(old, NOW)
    assert LINKS.allows(Method.GET, "/assets/1", query_of(new), NOW)
    for other in (
        "https://gate.example/assets/2?expires=1&signature=x",
        old.replace("/assets/1", "/assets/2"),
        old.replace("gate.example", "elsewhere.example"),
        "https://videos.example/1.mp4",
    ):
        assert LINKS.renewed(other, NOW) == other


@pytest.mark.parametrize(
    "query",
    [
        "",
        "expires=1",
        "signature=x",
        "expires=x&signature=y",
        "&" * 1_000,
        "expires=٣&signature=x",
        "expires=-1&signature=",
    ],
)
def test_what_is_no_signature_is_refused(query: str) -> None:
    assert not LINKS.allows(Method.GET, "/assets/1", query, NOW)


@given(st.text(max_size=80))
def test_no_query_breaks_the_check(query: str) -> None:
    assert not LINKS.allows(Method.GET, "/assets/1", query, NOW)
