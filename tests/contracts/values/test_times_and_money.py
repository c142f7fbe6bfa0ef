"""The border of instants and money: text outside, integers inside."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.values.money import NotMoney, format_usd, parse_usd
from contracts.values.times import NotAnInstant, OffsetMissing, format_micros, parse_micros

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
micros_of_years_1_to_9999 = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)
instants = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)) | st.datetimes(  # noqa: DTZ001 - hypothesis adds the zone
    datetime(1900, 1, 1),  # noqa: DTZ001 - likewise
    datetime(2100, 1, 1),  # noqa: DTZ001 - likewise
    timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


@given(instants)
def test_an_instant_survives_with_its_microseconds_whatever_its_offset(moment: datetime) -> None:
    micros = parse_micros(moment.isoformat())

    assert micros == (moment - EPOCH) // timedelta(microseconds=1)
    assert parse_micros(format_micros(micros)) == micros


@given(
    st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999),
    st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999),
)
def test_written_instants_sort_as_the_instants_do(one: int, other: int) -> None:
    assert (format_micros(one) < format_micros(other)) is (one < other)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-11-20T10:15:30.123Z", "2026-11-20T10:15:30.123000Z"),
        ("2026-11-20t10:15:30z", "2026-11-20T10:15:30.000000Z"),
        ("2026-11-20T10:15:30+05:30", "2026-11-20T04:45:30.000000Z"),
        ("2026-11-20T10:15:30-00:00", "2026-11-20T10:15:30.000000Z"),
        ("2026-11-20T10:15:30.1234569Z", "2026-11-20T10:15:30.123456Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_the_written_form_is_one(text: str, written: str) -> None:
    assert format_micros(parse_micros(text)) == written


@pytest.mark.parametrize("text", ["2026-11-20T10:15:30", "2026-11-20t10:15:30.5"])
def test_a_missing_offset_is_told_apart(text: str) -> None:
    with pytest.raises(OffsetMissing):
        parse_micros(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "1795169730",
        "2026-11-20",
        "2026-11-20T10:15Z",
        "2026-11-20T10:15:30,5Z",
        "2026-11-20T10:15:30.Z",
        "2026-11-20 10:15:30Z",
        "20261120T101530Z",
        "2026-W47-5T10:15:30Z",
        "2026-11-20T24:00:00Z",
        "2026-11-20T10:15:60Z",
        "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+10:00",
        "9999-12-31T23:59:59-00:01",
        "2026-11-20T10:15:30+24:00",
        "2026-11-20T10:15:30+01",
        "2026-11-20T10:15:30+0100",
        "2026-11-20T10:15:30Z\n",
        " 2026-11-20T10:15:30Z",
        "\u0662\u0660\u0662\u0666-11-20T10:15:30Z",
    ],
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(NotAnInstant) as caught:
        parse_micros(text)
    assert not str(caught.value)


@given(st.integers(0, 10**18 - 1))
def test_money_survives_to_the_micro_dollar(micros: int) -> None:
    assert parse_usd(format_usd(micros)) == micros


@pytest.mark.parametrize(
    ("text", "micros"),
    [("0", 0), ("007", 7_000_000), ("1.5", 1_500_000), ("0.000001", 1), ("999999999999.999999", 10**18 - 1)],
)
def test_money_is_read_to_six_places(text: str, micros: int) -> None:
    assert parse_usd(text) == micros


@pytest.mark.parametrize("text", ["", ".5", "1.", "-1", "+1", "1e3", " 1", "1\n", "0.0000001", "1" * 13, "\u0661"])
def test_what_is_no_money_is_refused(text: str) -> None:
    with pytest.raises(NotMoney):
        parse_usd(text)


@pytest.mark.parametrize(("micros", "text"), [(0, "0.000000"), (1, "0.000001"), (-1_500_000, "-1.500000")])
def test_money_is_always_written_with_six_places(micros: int, text: str) -> None:
    assert format_usd(micros) == text


@pytest.mark.parametrize(
    ("text", "kept_as"),
    [
        ("1990-12-31T23:59:60Z", "1990-12-31T23:59:59.999999Z"),
        ("1990-12-31T23:59:60.5Z", "1990-12-31T23:59:59.999999Z"),
        ("1990-12-31T15:59:60-08:00", "1990-12-31T23:59:59.999999Z"),
        ("2016-12-31t23:59:60z", "2016-12-31T23:59:59.999999Z"),
    ],
)
def test_a_leap_second_at_the_end_of_a_day_in_utc_is_kept_as_its_last_microsecond(text: str, kept_as: str) -> None:
    assert format_micros(parse_micros(text)) == kept_as


@pytest.mark.parametrize(
    "text", ["1990-12-31T23:58:60Z", "1990-12-31T12:00:60Z", "1990-12-31T23:59:60+01:00", "1990-12-31T23:59:61Z"]
)
def test_no_other_minute_has_sixty_one_seconds(text: str) -> None:
    with pytest.raises(NotAnInstant):
        parse_micros(text)
