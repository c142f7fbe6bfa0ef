"""How records are found in files."""

import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import record_files as records
from adapters.record_files import Layout, Record, Source, Unreadable, read_records, source_of


def found(file: Path, content: bytes, layout: Layout = Layout.AUTO) -> list[Record | Unreadable]:
    file.write_bytes(content)
    return [item for portion in read_records(source_of(str(file)), layout) for item in portion.items]


def values(items: list[Record | Unreadable]) -> list[object]:
    return [item.value if isinstance(item, Record) else item.reason for item in items]


def places(items: list[Record | Unreadable], file: Path) -> list[str]:
    return [item.place.removeprefix(f"{file}:") for item in items]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "records"


def test_lines_keep_their_bytes_and_know_their_place(file: Path) -> None:
    items = found(file, b'{"a": 1.0}\r\n\n  {"b":2}')
    assert [item.body for item in items if isinstance(item, Record)] == [b'{"a": 1.0}', b'{"b":2}']
    assert places(items, file) == ["1", "3"]


def test_a_line_that_is_no_json_does_not_hide_those_after_it(file: Path) -> None:
    items = found(file, b'{"a":1}\n{"b":x}\n\xff\n{"c":3}\n')
    assert values(items) == [{"a": 1}, "not JSON", "not JSON", {"c": 3}]
    assert places(items, file) == ["1", "2:6", "3:1", "4"]


def test_a_first_line_that_is_wrong_leaves_it_a_file_of_lines(file: Path) -> None:
    assert values(found(file, b'nonsense\n{"a":1}\n')) == ["not JSON", {"a": 1}]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'[{"a":1},{"b":2}]', [{"a": 1}, {"b": 2}]),
        (b'[\n  {\n    "a": [1, "]"]\n  }\n]\n', [{"a": [1, "]"]}]),
        (b'{\n "a": 1\n}\n{"b": 2} {"c": 3}\n', [{"a": 1}, {"b": 2}, {"c": 3}]),
        (b" [ ] ", []),
        (b"", []),
        (b"\n \n", []),
        (b'\xef\xbb\xbf{"a":1}\n{"b":2}', [{"a": 1}, {"b": 2}]),
    ],
)
def test_arrays_and_documents_are_told_from_lines(file: Path, content: bytes, expected: list[object]) -> None:
    assert values(found(file, content)) == expected


@pytest.mark.parametrize(
    ("content", "place", "reason"),
    [
        (b'[{"a":1},\n{"b":x}]', "2", "not JSON, from line 2 on"),
        (b'[{"a":1},\n', "2", "not JSON, from line 2 on"),
        (b'[{"a":1}\n', "2", "the array is not closed"),
        (b'[{"a":1} {"b":2}]', "1", "not JSON: a comma is missing"),
        (b'[{"a":1},]', "1", "not JSON: a comma before the end of the array"),
        (b'[{"a":1}]\n{"b":2}', "2", "something follows the array"),
        (b'[{"a":1},\n"\xff"]', "1", "not UTF-8"),
        (b'[{"a":1},' + b"[" * 100_000, "1", "nested too deeply"),
        (b'[{"a":1},' + b"1" * 5_000 + b"]", "1", "a number has too many digits"),
    ],
)
def test_a_broken_document_says_where_and_is_read_up_to_there(
    file: Path, content: bytes, place: str, reason: str
) -> None:
    items = found(file, content)
    assert isinstance(items[-1], Unreadable)
    assert items[-1].reason == f"{reason}; what follows was not read"
    assert places(items, file)[-1] == place


def test_a_record_beyond_the_limit_is_skipped_not_held(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LONGEST_RECORD", 1_000)
    monkeypatch.setattr(records, "_READ_BYTES", 256)
    long = b'{"a": "' + b"x" * 5_000 + b'"}'
    assert values(found(file, b'{"b":1}\n' + long + b'\n{"c":2}\n')) == [{"b": 1}, "longer than 16 MiB", {"c": 2}]
    assert values(found(file, b'{"b":1}\n' + long)) == [{"b": 1}, "longer than 16 MiB"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.lists(st.dictionaries(st.text(), json_values, max_size=3), max_size=8),
    st.sampled_from([None, 2]),
    st.integers(1, 40),
)
def test_every_array_is_read_back_however_it_is_cut_into_reads(
    tmp_path_factory: pytest.TempPathFactory, given_values: list[object], indent: int | None, read_bytes: int
) -> None:
    file = tmp_path_factory.getbasetemp() / "array.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "_READ_BYTES", read_bytes)
        text = json.dumps(given_values, indent=indent, ensure_ascii=False)
        assert values(found(file, text.encode())) == given_values


def test_what_a_pipe_has_is_given_before_it_waits_for_more() -> None:
    for content in (b'{"a":1}\n', b'{\n"a":1}\n'):
        reader, writer = os.pipe()
        os.write(writer, content)
        portions = read_records(Source("pipe", Path(f"/dev/fd/{reader}"), None), Layout.AUTO)
        first = next(portion for portion in portions if portion.items)
        assert values(first.items) == [{"a": 1}]
        rest = threading.Timer(0, os.close, [writer])
        rest.start()
        assert [item for portion in portions for item in portion.items] == []
        rest.join()
        os.close(reader)
