"""What a subscription has handed over directly is what the library would have handed over, however the bytes arrive."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import ProtocolError

from adapters.nats.direct_parser import DirectParser, Receiver, parse_directly, receive_directly
from adapters.nats.lenient_decoding import headers_of
from tests.adapters.nats.waiting import eventually

Taken = tuple[bytes, bytes, bytes, bytes]

TOKENS = st.binary(min_size=1, max_size=8).filter(lambda token: not set(token) & set(b" \t\r\n"))
BODIES = st.one_of(st.binary(max_size=40), st.sampled_from([b"\r\n", b"MSG a 1 2\r\nhi\r\n", b"PING\r\n", b"x" * 5000]))
HEADERS = st.sampled_from([b"", b"NATS/1.0\r\nA: b\r\n\r\n", b"NATS/1.0\r\n\r\n"])
MESSAGES = st.lists(st.tuples(TOKENS, st.one_of(st.just(b""), TOKENS), HEADERS, BODIES), max_size=8)


def on_the_wire(message: Taken) -> bytes:
    subject, reply, headers, body = message
    to = subject + b" 1" + (b" " + reply if reply else b"")
    if headers:
        return b"HMSG %b %d %d\r\n%b%b\r\n" % (to, len(headers), len(headers) + len(body), headers, body)
    return b"MSG %b %d\r\n%b\r\n" % (to, len(body), body)


def parser_to(taken: list[Taken]) -> DirectParser:
    async def other(_: Msg) -> None:
        raise AssertionError("all are taken")

    def take(*message: bytes) -> bool:
        subject, reply, headers, body = message
        taken.append((subject, reply, headers, body))
        return True

    parser = DirectParser(Client())
    parser.receivers[b"1"] = Receiver(take, other)
    return parser


async def parsed(wire: bytes, cuts: Sequence[int]) -> list[Taken]:
    taken: list[Taken] = []
    parser = parser_to(taken)
    edges = [0, *sorted({cut % (len(wire) + 1) for cut in cuts}), len(wire)]
    for begin, end in pairwise(edges):
        await parser.parse(wire[begin:end])
    return taken


@given(messages=MESSAGES, cuts=st.lists(st.integers(0, 20_000), max_size=6))
def test_messages_come_whole_and_in_order_wherever_the_bytes_are_cut(messages: list[Taken], cuts: list[int]) -> None:
    wire = b"".join(on_the_wire(message) + b"+OK\r\n" for message in messages)
    assert asyncio.run(parsed(wire, cuts)) == messages


@pytest.mark.parametrize("line", [b"MSG  a\t1   2\r\n", b"MSG a 1  2\r\n", b"HMSG a\t1 0  2\r\n"])
async def test_a_line_with_more_blanks_than_needed_is_read_too(line: bytes) -> None:
    assert await parsed(line + b"hi\r\n", []) == [(b"a", b"", b"", b"hi")]


@pytest.mark.parametrize("line", [b"MSG a 1 x\r\n", b"HMSG a 1 2\r\n", b"what\r\n"])
async def test_nonsense_ends_the_connection_as_with_the_library(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        await parsed(line, [])


async def test_the_rest_of_a_lost_connection_is_not_read_as_part_of_the_next_one() -> None:
    taken: list[Taken] = []
    parser = parser_to(taken)
    await parser.parse(b"MSG a 1 100\r\nthe beginning")
    parser.reset()
    await parser.parse(b"MSG b 1 2\r\nhi\r\n")
    assert taken == [(b"b", b"", b"", b"hi")]


async def test_an_error_of_a_receiver_ends_neither_the_reading_nor_other_subscriptions(nc: Client, prefix: str) -> None:
    parse_directly(nc)
    arrived: list[str] = []

    def take(subject: bytes, _reply: bytes, _headers: bytes, body: bytes) -> bool:
        if body == b"bad":
            raise ValueError("a bug")
        if body == b"other":
            return False
        arrived.append(f"direct {subject.decode()} {body.decode()}")
        return True

    async def other(message: Msg) -> None:
        arrived.append(f"read {message.data.decode()} {message.headers}")

    async def plain(message: Msg) -> None:
        arrived.append(f"plain {message.data.decode()}")

    direct = await nc.subscribe(f"{prefix}.a", cb=other)
    receive_directly(nc, direct, Receiver(take, other))
    await nc.subscribe(f"{prefix}.b", cb=plain)
    for subject, body in (("a", b"1"), ("a", b"bad"), ("a", b"other"), ("a", b"2"), ("b", b"3")):
        await nc.publish(f"{prefix}.{subject}", body, headers={"H": "x"})
    await eventually(lambda: len(arrived) == 4)

    assert arrived == [f"direct {prefix}.a 1", "read other {'H': 'x'}", f"direct {prefix}.a 2", "plain 3"]


@pytest.mark.parametrize(
    ("block", "read"),
    [
        (b"NATS/1.0\r\nA: b\r\nNats-Batch-Id: x\r\n\r\n", {"A": "b", "Nats-Batch-Id": "x"}),
        (b"NATS/1.0\r\nA: \xff\r\n\r\n", {"A": "\N{REPLACEMENT CHARACTER}"}),
        (b"NATS/1.0\r\nA:B\r\nvalue: A\r\n\r\n", {"A": "B", "value": "A"}),
        (b"NATS/1.0\r\nWebhook-Signature: a\r\nwebhook-signature: b\r\n\r\n", {"webhook-signature": "a b"}),
        (b"NATS/1.0\r\n\r\n", {}),
        (b"", {}),
    ],
)
def test_headers_that_are_read_late_are_the_same(block: bytes, read: dict[str, str]) -> None:
    for name in (*read, "Absent", "b", "\udcff", "webhook-signature"):
        headers = headers_of(block)
        assert headers is not None
        assert headers.get(name) == read.get(name)
        assert (name in headers) is (name in read)
    assert dict(headers_of(block) or {}) == read


def test_a_block_with_a_status_is_for_the_client() -> None:
    assert headers_of(b"NATS/1.0 100 Idle Heartbeat\r\n\r\n") is None
