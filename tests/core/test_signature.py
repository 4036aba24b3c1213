"""Signatures: the holder of the secret, exactly this body, just now; everything else is nobody."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import Forbidden, Unavailable
from surefoot.core.signature import TOLERANCE, Unauthenticated, sign, verify

SECRET = "a secret of enough characters"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STAMP = str(int(NOW.timestamp()))
NONCE = "nonce-0001"
BODY = b'{"approval": "promote-support-v2-1"}'


def good(**changed):
    """Verify a message that is good but for what is changed."""
    given = {"timestamp": STAMP, "nonce": NONCE, "body": BODY, "now": NOW} | changed
    secret = given.pop("secret", SECRET)
    signed = sign(SECRET, timestamp=STAMP, nonce=NONCE, body=BODY)
    verify(secret, signature=given.pop("signature", signed), **given)


def test_what_was_signed_is_good():
    good()


def test_a_signature_is_hmac_sha256_of_timestamp_nonce_and_body():
    """Computed here from SHA-256 alone, as RFC 2104 says."""
    key = SECRET.encode().ljust(64, b"\0")
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in key) + f"{STAMP}.{NONCE}.".encode() + BODY).digest()
    outer = hashlib.sha256(bytes(b ^ 0x5C for b in key) + inner).hexdigest()
    assert sign(SECRET, timestamp=STAMP, nonce=NONCE, body=BODY) == f"sha256={outer}"


@pytest.mark.parametrize(
    "changed",
    [
        {"body": BODY + b" "}, {"body": b""}, {"nonce": "nonce-0002"}, {"timestamp": str(int(STAMP) + 1)},
        {"secret": SECRET + "!"}, {"secret": SECRET.upper()}, {"signature": ""}, {"signature": "sha256="},
        {"signature": "sha256=" + "0" * 64}, {"signature": "sha256=é"}, {"signature": "\udc80"},
    ],
)  # fmt: skip
def test_whatever_differs_from_what_was_signed_is_refused(changed):
    with pytest.raises(Unauthenticated, match="does not fit"):
        good(**changed)


@given(st.binary(max_size=200), st.integers(0, 10_000), st.integers(1, 255))
def test_no_bit_of_the_body_can_change(body, at, flip):
    signed = sign(SECRET, timestamp=STAMP, nonce=NONCE, body=body)
    verify(SECRET, timestamp=STAMP, nonce=NONCE, signature=signed, body=body, now=NOW)
    other = bytearray(body or b"x")
    other[at % len(other)] ^= flip
    with pytest.raises(Unauthenticated):
        verify(SECRET, timestamp=STAMP, nonce=NONCE, signature=signed, body=bytes(other), now=NOW)


@given(st.text(st.characters(codec="utf-8"), max_size=20), st.text(st.characters(codec="utf-8"), max_size=140))
def test_the_parts_cannot_be_cut_in_another_place(timestamp, nonce):
    """Any timestamp and nonce that a forger could send with the body of a good message are refused or the same."""
    whole = f"{STAMP}.{NONCE}.".encode() + BODY
    signed = sign(SECRET, timestamp=STAMP, nonce=NONCE, body=BODY)
    for stamp, once in ((timestamp, nonce), (STAMP, nonce), (f"{STAMP}.{NONCE}", nonce), (STAMP, f"{NONCE}.{nonce}")):
        head = f"{stamp}.{once}.".encode()
        if whole.startswith(head) and (stamp, once) != (STAMP, NONCE):
            with pytest.raises(Unauthenticated):
                verify(SECRET, timestamp=stamp, nonce=once, signature=signed, body=whole[len(head) :], now=NOW)


@pytest.mark.parametrize("seconds", [-300, -299, 0, 299, 300])
def test_five_minutes_either_way_are_in_time(seconds):
    good(now=NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("way", [-1, 1])
@pytest.mark.parametrize("more", [timedelta(microseconds=1), timedelta(hours=1), timedelta(days=365)])
def test_older_and_later_messages_are_refused(way, more):
    with pytest.raises(Unauthenticated, match="too old"):
        good(now=NOW + way * (TOLERANCE + more))


@pytest.mark.parametrize(
    "odd",
    [{"timestamp": one} for one in ("", "-1", "1e9", " 1", "1\n", "٣", "9" * 13, "1.5")]
    + [
        {"nonce": one} for one in ("", "short", "has.stop.in.it", "has space in", "n" * 129, "newline-1\n", "näive-one")
    ],
)
def test_a_timestamp_or_nonce_of_another_form_is_refused_before_anything_else(odd):
    with pytest.raises(Unauthenticated, match="no usable timestamp and nonce"):
        good(**odd)


@pytest.mark.parametrize("secret", ["", "short", "x" * 15])
def test_without_a_usable_secret_nothing_is_signed_and_nothing_is_good(secret):
    with pytest.raises(Unavailable, match="no usable secret") as refused:
        sign(secret, timestamp=STAMP, nonce=NONCE, body=BODY)
    assert "SUREFOOT_APPROVAL_SECRET" in refused.value.hint
    with pytest.raises(Unavailable, match="no usable secret"):
        good(secret=secret)


def test_a_refusal_belongs_to_a_family_and_says_nothing_of_the_secret():
    with pytest.raises(Forbidden) as caught:
        good(signature="sha256=" + "f" * 64)
    assert caught.value.code == "unauthenticated"
    assert SECRET not in f"{caught.value.message} {caught.value.hint}"
