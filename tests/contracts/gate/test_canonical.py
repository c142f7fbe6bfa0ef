"""The canonical form: one for all spellings of a payload."""

import hashlib
import json
from random import Random

import orjson
from hypothesis import given
from hypothesis import strategies as st

from contracts.gate.canonical import canonical_bytes, payload_hash
from contracts.gate.json_strict import parse
from tests.contracts.samples import Json

canonical_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


def shuffled(value: Json, chance: Random) -> Json:
    if isinstance(value, dict):
        items = list(value.items())
        chance.shuffle(items)
        return {key: shuffled(item, chance) for key, item in items}
    return [shuffled(item, chance) for item in value] if isinstance(value, list) else value


@given(canonical_json, st.randoms(use_true_random=False), st.sampled_from([None, 1, "\t"]), st.booleans())
def test_key_order_whitespace_and_escapes_do_not_matter(
    value: Json, chance: Random, indent: int | str | None, ascii_only: bool
) -> None:
    other = json.dumps(shuffled(value, chance), indent=indent, ensure_ascii=ascii_only).encode()

    assert payload_hash(parse(other)) == payload_hash(value)


@given(canonical_json)
def test_the_canonical_form_reads_back_the_same_and_is_its_own_canonical_form(value: Json) -> None:
    canonical = canonical_bytes(value)

    assert parse(canonical) == value
    assert canonical_bytes(parse(canonical)) == canonical


@given(canonical_json)
def test_two_values_have_one_form_only_if_they_are_equal(value: Json) -> None:
    assert payload_hash([value]) != payload_hash(value)
    assert payload_hash({"a": value}) != payload_hash({"b": value})


def test_the_form_is_sorted_without_spaces_in_utf_8() -> None:
    assert canonical_bytes({"é": 1, "b": [1, 2.5, None], "a": {"z": "ü", "y": True}}) == (
        '{"a":{"y":true,"z":"ü"},"b":[1,2.5,null],"é":1}'.encode()
    )


def test_numbers_are_exact_or_in_their_shortest_form() -> None:
    assert canonical_bytes([2**64 - 1, -(2**63), 9007199254740993, 0.1, 1e22, 5e-324]) == (
        b"[18446744073709551615,-9223372036854775808,9007199254740993,0.1,1e+22,5e-324]"
    )


def test_the_hash_is_the_sha_256_of_the_form() -> None:
    value: Json = {"session_id": "s", "input_tokens": 3}

    assert payload_hash(value) == hashlib.sha256(b'{"input_tokens":3,"session_id":"s"}').hexdigest()


def test_the_order_of_a_random_shuffle_is_no_part_of_the_hash() -> None:
    value: Json = {f"key{number}": number for number in range(100)}

    assert payload_hash(orjson.loads(orjson.dumps(shuffled(value, Random(7))))) == payload_hash(value)
