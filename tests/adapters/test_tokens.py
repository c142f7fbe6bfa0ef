"""Bearer tokens: which speak for somebody, and which for nobody. All refusals are the same bytes."""

import base64
import json
import time
from typing import Final

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from adapters.tokens import UNAUTHENTICATED, TokenAuthenticator, TokenKeys, UnusableKey
from contracts.values.principals import Principal, Scope

SECRET: Final = "a secret of thirty-two bytes, or more"
NOW_S: Final = int(time.time())
NOW: Final = NOW_S * 1_000_000
PRIVATE: Final = ed25519.Ed25519PrivateKey.generate()


def pem(private: ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private_pem(private: ed25519.Ed25519PrivateKey) -> str:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


PUBLIC_PEM: Final = pem(PRIVATE)


def claims(**changes: object) -> dict[str, object]:
    stated = {"sub": "ada", "exp": NOW_S + 60, "scope": "jobs:read jobs:write", **changes}
    return {name: value for name, value in stated.items() if value is not None}


def token(**changes: object) -> str:
    return jwt.encode(claims(**changes), SECRET, algorithm="HS256")


def eddsa_token(key: ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey = PRIVATE) -> str:
    return jwt.encode(claims(), key, algorithm="EdDSA")


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def hs256(*, issuer: str | None = None, audience: str | None = None, leeway_s: float = 0) -> TokenAuthenticator:
    return TokenAuthenticator(TokenKeys((SECRET,), (), issuer, audience, leeway_s))


def test_a_token_speaks_for_its_subject_with_the_scopes_it_has() -> None:
    principal = hs256().authenticate(bearer(token(scope="jobs:read ops:write unheard:of")), NOW)
    assert principal == Principal("ada", frozenset({Scope.JOBS_READ, Scope.OPS_WRITE}))


@pytest.mark.parametrize("scope", [None, "", "JOBS:READ", "jobs:read,jobs:write"])
def test_scopes_are_words_between_spaces_and_nothing_else(scope: str | None) -> None:
    assert hs256().authenticate(bearer(token(scope=scope)), NOW) == Principal("ada", frozenset())


def test_an_eddsa_token_is_checked_with_the_public_key() -> None:
    checking = TokenAuthenticator(TokenKeys(jwt_public_keys=(PUBLIC_PEM,)))
    assert isinstance(checking.authenticate(bearer(eddsa_token()), NOW), Principal)
    stranger = ed25519.Ed25519PrivateKey.generate()
    assert checking.authenticate(bearer(eddsa_token(stranger)), NOW) is UNAUTHENTICATED


def test_while_a_key_is_changed_tokens_of_the_old_one_are_good_too() -> None:
    older, another = "an older secret of thirty-two bytes, or more", ed25519.Ed25519PrivateKey.generate()
    both = TokenAuthenticator(TokenKeys((SECRET, older), (PUBLIC_PEM, pem(another))))
    of_old = jwt.encode(claims(), older, algorithm="HS256")
    for good in (token(), of_old, eddsa_token(), eddsa_token(another)):
        assert isinstance(both.authenticate(bearer(good), NOW), Principal)
    afterwards = TokenAuthenticator(TokenKeys((SECRET,), (PUBLIC_PEM,)))
    for gone in (of_old, eddsa_token(another)):
        assert afterwards.authenticate(bearer(gone), NOW) is UNAUTHENTICATED


def test_the_claims_are_judged_whichever_key_has_signed() -> None:
    checking = TokenAuthenticator(TokenKeys((SECRET * 2, SECRET), audience="headgate"))
    assert isinstance(checking.authenticate(bearer(token(aud="headgate")), NOW), Principal)
    assert checking.authenticate(bearer(token(aud="another")), NOW) is UNAUTHENTICATED
    assert checking.authenticate(bearer(token(exp=NOW_S)), NOW) is UNAUTHENTICATED


def test_an_ed448_key_serves_as_well() -> None:
    private = ed448.Ed448PrivateKey.generate()
    checking = TokenAuthenticator(TokenKeys(jwt_public_keys=(pem(private),)))
    assert isinstance(checking.authenticate(bearer(eddsa_token(private)), NOW), Principal)


def test_both_keys_may_be_in_force_each_with_its_own_algorithm() -> None:
    checking = TokenAuthenticator(TokenKeys(jwt_secrets=(SECRET,), jwt_public_keys=(PUBLIC_PEM,)))
    assert isinstance(checking.authenticate(bearer(token()), NOW), Principal)
    assert isinstance(checking.authenticate(bearer(eddsa_token()), NOW), Principal)


def test_a_key_is_never_used_with_another_algorithm() -> None:
    only_secret = TokenAuthenticator(TokenKeys(jwt_secrets=(SECRET * 2,)))
    only_public = TokenAuthenticator(TokenKeys(jwt_public_keys=(PUBLIC_PEM,)))
    assert only_secret.authenticate(bearer(jwt.encode(claims(), SECRET * 2, algorithm="HS512")), NOW) is UNAUTHENTICATED
    assert only_secret.authenticate(bearer(eddsa_token()), NOW) is UNAUTHENTICATED
    assert only_public.authenticate(bearer(token()), NOW) is UNAUTHENTICATED
    # The classic forgery: the public key, which everybody has, taken for a shared secret.
    forged = unsigned({"alg": "HS256", "typ": "JWT"}, claims())
    signature = jwt.get_algorithm_by_name("HS256").sign(forged.encode(), PUBLIC_PEM.encode())
    assert only_public.authenticate(bearer(f"{forged}.{encoded(signature)}"), NOW) is UNAUTHENTICATED


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unsigned(header: dict[str, object], body: dict[str, object]) -> str:
    return ".".join(encoded(json.dumps(part).encode()) for part in (header, body))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None, 1, ["HS256"], {"a": 1}])
def test_a_token_without_a_signature_speaks_for_nobody(algorithm: object) -> None:
    header: dict[str, object] = {"typ": "JWT"} if algorithm is None else {"alg": algorithm, "typ": "JWT"}
    assert hs256().authenticate(bearer(unsigned(header, claims()) + "."), NOW) is UNAUTHENTICATED


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": NOW_S - 1},
        {"exp": None},
        {"exp": "soon"},
        {"exp": str(NOW_S + 60)},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"exp": 10**18},
        {"exp": 1e300},
        {"exp": 253_402_300_800},
        {"nbf": -(10**17)},
        {"exp": [NOW_S + 60]},
        {"exp": True},
        {"nbf": NOW_S + 60},
        {"nbf": "now"},
        {"iat": NOW_S + 60},
        {"sub": None},
        {"sub": ""},
        {"sub": "a\u0000b"},
        {"sub": "line\nbreak"},
        {"sub": "x" * 201},
        {"scope": ["jobs:read"]},
        {"scope": 7},
        {"aud": "somebody-else"},
    ],
)
def test_claims_that_are_missing_wrong_or_out_of_time_are_refused(changes: dict[str, object]) -> None:
    assert hs256().authenticate(bearer(token(**changes)), NOW) is UNAUTHENTICATED


def test_a_subject_that_is_no_text_is_refused() -> None:
    forged = unsigned({"alg": "HS256"}, claims(sub=7))
    signature = jwt.get_algorithm_by_name("HS256").sign(forged.encode(), SECRET.encode())
    assert hs256().authenticate(bearer(f"{forged}.{encoded(signature)}"), NOW) is UNAUTHENTICATED


def test_issuer_and_audience_are_demanded_where_they_are_set() -> None:
    checking = hs256(issuer="https://id", audience="headgate")
    right: dict[str, object] = {"iss": "https://id", "aud": ["other", "headgate"]}
    assert isinstance(checking.authenticate(bearer(token(**right)), NOW), Principal)
    wrong: list[dict[str, object]] = [{"iss": "https://evil"}, {"iss": None}, {"aud": "other"}, {"aud": None}]
    for changes in wrong:
        assert checking.authenticate(bearer(token(**{**right, **changes})), NOW) is UNAUTHENTICATED


def test_leeway_bears_clocks_that_differ_a_little() -> None:
    late, early = bearer(token(exp=NOW_S - 10)), bearer(token(nbf=NOW_S + 10))
    assert isinstance(hs256(leeway_s=30).authenticate(late, NOW), Principal)
    assert isinstance(hs256(leeway_s=30).authenticate(early, NOW), Principal)
    assert hs256(leeway_s=5).authenticate(late, NOW) is UNAUTHENTICATED
    assert hs256(leeway_s=5).authenticate(early, NOW) is UNAUTHENTICATED


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer a.b.c"},
        {"Authorization": "Bearer ...."},
        {"Authorization": "Bearer é.é.é"},
        {"Authorization": "Bearer " + "a" * 100_000},
        {"Authorization": "Bearer " + "." * 8_000},
    ],
)
def test_what_is_no_token_speaks_for_nobody(headers: dict[str, str]) -> None:
    assert hs256().authenticate(headers, NOW) is UNAUTHENTICATED


def test_the_header_and_its_scheme_may_be_written_in_any_case() -> None:
    assert isinstance(hs256().authenticate({"authorization": f"bearer {token()}"}, NOW), Principal)


def test_any_changed_character_makes_a_token_worthless() -> None:
    good, checking = token(), hs256()
    for at in range(0, len(good), 7):
        changed = good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :]
        assert checking.authenticate(bearer(changed), NOW) is UNAUTHENTICATED
    assert isinstance(checking.authenticate(bearer(good), NOW), Principal)


def test_a_remembered_token_is_refused_from_its_expiry_on() -> None:
    checking, headers = hs256(leeway_s=5), bearer(token(exp=NOW_S + 60))
    assert isinstance(checking.authenticate(headers, NOW), Principal)
    assert isinstance(checking.authenticate(headers, NOW + 64_999_999), Principal)
    assert checking.authenticate(headers, NOW + 65_000_000) is UNAUTHENTICATED


def test_a_remembered_token_is_answered_without_checking_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    checking, headers = hs256(), bearer(token())
    first = checking.authenticate(headers, NOW)
    monkeypatch.delattr("jwt.decode")
    assert checking.authenticate(headers, NOW) is first


def test_only_so_many_tokens_are_remembered_and_none_that_was_refused() -> None:
    checking = TokenAuthenticator(TokenKeys(jwt_secrets=(SECRET,)), most_remembered=3)
    for number in range(10):
        assert isinstance(checking.authenticate(bearer(token(sub=f"caller-{number}")), NOW), Principal)
        assert checking.authenticate(bearer(f"a.b.{number}"), NOW) is UNAUTHENTICATED
    assert len(checking._remembered) == 3


@pytest.mark.parametrize(
    "keys",
    [
        TokenKeys(),
        TokenKeys(jwt_secrets=("x" * 31,)),
        TokenKeys(jwt_public_keys=("no key at all",)),
        TokenKeys(jwt_public_keys=(private_pem(PRIVATE),)),
        TokenKeys(jwt_public_keys=(pem(ec.generate_private_key(ec.SECP256R1())),)),
    ],
)
def test_keys_that_cannot_check_tokens_stop_the_start(keys: TokenKeys) -> None:
    with pytest.raises(UnusableKey) as refusal:
        TokenAuthenticator(keys)
    assert "no key at all" not in str(refusal.value)


def test_a_secret_is_counted_in_bytes() -> None:
    assert isinstance(TokenAuthenticator(TokenKeys(jwt_secrets=("é" * 16,))), TokenAuthenticator)


def test_keys_do_not_show_in_text() -> None:
    assert SECRET not in repr(TokenKeys(jwt_secrets=(SECRET,)))
    assert SECRET not in str(TokenKeys(jwt_secrets=(SECRET,)))
