"""One-time codes: each good once, for a minute, five at a time; guessing is slowed down."""

from daemon.http.sign_in_codes import LIFETIME_S, MOST_BAD_TRIES, MOST_CODES, SignInCodes

SECOND = 1_000_000
NOW = 1_000 * SECOND


def test_a_code_is_good_once() -> None:
    codes = SignInCodes()
    code, expires_at = codes.issue(NOW)

    assert expires_at == NOW + LIFETIME_S * SECOND
    assert codes.take(code, NOW + 1)
    assert not codes.take(code, NOW + 2)


def test_a_late_code_is_no_good_and_used_up() -> None:
    codes = SignInCodes()
    code, expires_at = codes.issue(NOW)

    assert not codes.take(code, expires_at)
    assert not codes.take(code, NOW)


def test_a_sixth_code_drops_the_oldest() -> None:
    codes = SignInCodes()
    made = [codes.issue(NOW)[0] for _ in range(MOST_CODES + 1)]

    assert not codes.take(made[0], NOW)
    assert all(codes.take(code, NOW) for code in made[1:])


def test_ten_wrong_codes_lock_the_door_for_a_minute_and_leave_the_code() -> None:
    codes = SignInCodes()
    code, _ = codes.issue(NOW)
    for _ in range(MOST_BAD_TRIES):
        assert not codes.is_locked(NOW)
        codes.take("wrong", NOW)

    assert codes.is_locked(NOW + 59 * SECOND)
    assert not codes.is_locked(NOW + 60 * SECOND)
    assert codes.take(code, NOW + 59 * SECOND)


def test_codes_are_long_and_never_the_same() -> None:
    codes = SignInCodes()
    made = {codes.issue(NOW)[0] for _ in range(100)}

    assert len(made) == 100
    assert min(map(len, made)) >= 43  # 32 random bytes in base64
