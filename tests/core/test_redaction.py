"""What redaction takes out, what it leaves, and that it ends in time whatever it is given."""

import json
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surefoot.core import redaction
from surefoot.core.errors import Invalid
from surefoot.core.redaction import PLACEHOLDER, Found, luhn, redact
from surefoot.core.suspicion import SUSPICIOUS

KEY = "a key of the tests"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEpAIBAAKCAQEA7\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
BLANKS = "\u00a0\u2007\u202f\u2009"
HYPHENS = "\u2010\u2011\u2012\u2013\u2014\u2015\uff0d"

SECRETS = [
    ("email", "ann.lee+shop@mail.example.com"),
    ("email", "jörg@bücher.example"),
    ("phone", "+49 30 901820"),
    ("phone", "(415) 555-2671"),
    ("phone", "+1-415-555-2671"),
    ("phone", "06 12 34 56 78"),
    ("phone", "030/901820"),
    ("card", "4111 1111 1111 1111"),
    ("card", "378282246310005"),
    ("card", "5555-5555-5555-4444"),
    ("iban", "DE89 3704 0044 0532 0130 00"),
    ("iban", "GB82WEST12345698765432"),
    ("iban", "no9386011117947"),
    ("ssn", "123-45-6789"),
    ("jwt", JWT),
    ("pem", PEM),
    ("key", "sk-proj-abcdefghijklmnop1234"),
    ("key", "AKIAIOSFODNN7EXAMPLE"),
    ("key", "ghp_abcdefghijklmnopqrstuvwxyz0123456789"),
    ("key", "sf_" + "Ab1-" * 11),
    ("key", "xoxb-123456789012-abcdef"),
    ("iban", "DE89\u00a03704\u20090044 0532\u202f0130\u200700"),
    ("phone", "030 \u2013 901820"),
    ("card", "\uff14\uff11\uff11\uff11 1111 1111 \uff11111"),
    ("ssn", "\uff11\uff12\uff13-45-6789"),
]

HARMLESS = [
    "I lost my card, please send a new one.",
    "password: forgotten",
    "the token: please reset it",
    "on 2026-10-12 at 14:30:00 order 1700000000 was sent",
    "01.02.2026 10:30",
    "192.168.100.200 answered in 12.5 ms, version 1.2.3",
    "$1,234,567.89 for 4111 1111 1111 1112",
    "pay 0000 0000 0000 0000",
    "000-12-3456 and 666-12-3456 are no numbers",
    "user@localhost and a@b",
    "GB82WEST12345698765433",
    "f47ac10b-58cc-4372-a567-0e02b2c3d479",
    "bearer of bad news",
    "basic understanding of everything",
    "in 2020\u20132021, pages 12\u201334 and 1\u00a0000\u00a0000 \u20ac, \uff11\uff12\u65e5",
    "4111\u20131111\u20131111\u20131112",
]


@pytest.mark.parametrize(("kind", "secret"), SECRETS)
@pytest.mark.parametrize("around", ["{}", "Hello {}.", "({})", '"{}",', "mine is {}, yours?", "<{}>\n", "[{}]"])
def test_what_must_not_be_stored_is_taken_out_of_any_sentence(kind: str, secret: str, around: str) -> None:
    text = around.format(secret)
    done = redact(text, KEY)
    assert secret not in done.text
    assert [one.kind for one in done.found] == [kind]
    assert done.text == text.replace(secret, done.found[0].placeholder)


@pytest.mark.parametrize("sign", BLANKS + HYPHENS)
def test_a_number_is_found_however_it_is_parted(sign: str) -> None:
    numbers = [("card", f"4111{sign}1111{sign}1111{sign}1111"), ("ssn", f"123{sign}45{sign}6789"),
               ("phone", f"+49{sign}30{sign}901820"), ("phone", f"(415)\u00a0555{sign}2671")]  # fmt: skip
    numbers += [("iban", f"DE89{sign}3704{sign}0044 0532{sign}0130{sign}00")] if sign in BLANKS else []
    for kind, number in numbers:
        done = redact(f"mine is {number}, yours?", KEY)
        assert done.text == f"mine is {done.found[0].placeholder}, yours?"
        assert [one.kind for one in done.found] == [kind]
        assert re.search(SUSPICIOUS, number.encode()), number


@pytest.mark.parametrize(("kind", "number"), [
    ("ssn", "123-45-6789"), ("ssn", "123\u201145\u20116789"), ("ssn", "\uff11\uff12\uff13-45-6789"),
    ("ssn", "123 45 6789"), ("phone", "+49 171 2345678"), ("phone", "(030) 1234567"), ("phone", "(415) 555-2671"),
    ("card", "4111 1111 1111 1111"), ("iban", "DE89 3704 0044 0532 0130 00"),
])  # fmt: skip
@pytest.mark.parametrize("sign", HYPHENS)
def test_a_number_is_found_beside_a_dash(kind: str, number: str, sign: str) -> None:
    for around in (
        f"SSN{sign}{{}}",
        f"{{}}{sign}that is my number",
        f"Tel.{sign}{{}} ok",
        f"{sign}{{}}{sign}",
        f"me{sign}{{}}, you",
    ):
        text = around.format(number)
        done = redact(text, KEY)
        assert [one.kind for one in done.found] == [kind], text
        assert done.text == around.format(done.found[0].placeholder)
        assert re.search(SUSPICIOUS, text.encode()), text


def test_a_number_is_found_beside_a_dash_and_another_number() -> None:
    assert "[ssn:" in redact("no. 5\u2013123-45-6789", KEY).text


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_alike_stays(text: str) -> None:
    assert redact(text, KEY).text == text


@pytest.mark.parametrize(("text", "left"), [
    ("password=hunter2!", "password=[secret:"),
    ('{"api_key": "abc-123-def"}', '{"api_key": "[secret:'),
    ("Authorization: Bearer abcdef0123456789abcdef", "Authorization: Bearer [secret:"),
    ("postgres://ann:pw1@host/db", "postgres://ann:[secret:"),
])  # fmt: skip
def test_a_named_secret_is_replaced_and_its_name_stays(text: str, left: str) -> None:
    assert redact(text, KEY).text.startswith(left)


def test_equal_values_stay_equal_however_they_are_written_and_only_under_one_key() -> None:
    one, other = redact("4111 1111 1111 1111", KEY), redact("4111-1111-1111-1111", KEY)
    assert one.text == other.text
    assert redact("4111\u20111111\u00a01111 \uff11111", KEY).text == one.text
    assert redact("Ann@Example.com", KEY).text == redact("ann@example.com", KEY).text
    assert redact("ann@example.com", KEY).text != redact("bob@example.com", KEY).text
    assert redact("ann@example.com", KEY).text != redact("ann@example.com", "another key").text


def test_hash_mode_keeps_nothing_but_equality() -> None:
    one = redact("I am Ann and I am sad", KEY, mode="hash")
    assert PLACEHOLDER.fullmatch(one.text)
    assert one == redact("I am Ann and I am sad", KEY, mode="hash")
    assert one.text != redact("I am Bob and I am sad", KEY, mode="hash").text
    assert redact(one.text, KEY, mode="hash").text == one.text


def test_off_keeps_everything_and_a_key_is_needed_otherwise() -> None:
    assert redact("ann@example.com", "", mode="off").text == "ann@example.com"
    with pytest.raises(Invalid, match="no key"):
        redact("ann@example.com", "")


def test_a_private_key_without_its_end_is_taken_out_all_the_same() -> None:
    assert redact("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN", KEY).text.startswith("[pem:")


pieces = st.sampled_from([
    *(secret for _, secret in SECRETS), *HARMLESS, "password=", "pwd: ", "token=", "://u:", "://", "@", "x", "1",
    "4111", "-", " ", ".", "+", "(415) ", "555-2671", "[email:12345678]", "[phone:0123abcd]", "[", "]", ":",
    "-----BEGIN PRIVATE KEY-----", "-----", "eyJ", "\n", "DE89", "bearer ", "sk-", "00", "é", "\ud800", '"',
    "\u2014", "\u2013",
])  # fmt: skip


@settings(max_examples=250)
@given(st.lists(pieces, max_size=14).map("".join) | st.text(alphabet="04a1@.-+ ()[]:=/sk_eyJE", max_size=60))
def test_redacting_twice_is_redacting_once(text: str) -> None:
    once = redact(text, KEY)
    assert redact(once.text, KEY).text == once.text
    assert all(one.placeholder in once.text for one in once.found)


@given(st.integers(min_value=10**11, max_value=10**18 - 1).map(str))
def test_one_digit_wrong_is_no_card(body: str) -> None:
    right = [digit for digit in "0123456789" if luhn(body + digit)]
    assert len(right) == 1


UNITS = [
    "a", "1", "1 ", "4-", "a@", "@a.", "a.b@", "eyJ", "eyJaaaaaaaa.", "sk-", "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN ", "password=", "token: ", "://a:", "://", "+4", "+4 ", "(415)", "01 ", "DE89", "DE89 ", "[email:",
    "[email:12345678]",
    "ghp_", "a1@b-", "bearer ", "Bearer A", "0", "-", "00", "555-", "\n", "secret='", "x.", "SG.", "415-555-", "é@é.",
]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_the_time_is_linear_in_the_text(unit: str) -> None:
    def seconds(size: int) -> float:
        text = (unit * (size // len(unit) + 1))[:size]
        return min(_timed(text) for _ in range(3))

    small, large = seconds(1_000), seconds(8_000)
    assert large < 40 * small + 0.02  # 8 times as long; a quadratic pattern takes 64 times


def _timed(text: str) -> float:
    started = time.process_time()
    redact(text, KEY)
    return time.process_time() - started


TRICKY = [
    "password: hunter2!", "token=abc123def", "bearer abcdefghijklmnopqrstuv", "Basic dXNlcjpwYXNzd29yZA==",
    "pa\u017fsword: abc123", "\u212aey: abc12345", "ba\u017fic abcdefghijklmnop!", "://a:b@c", "AIza" + "x" * 35,
    "ya29." + "a" * 24, "SG." + "a" * 20 + "." + "b" * 20, "dop_v1_" + "a" * 40, "030 12", "1 2 3 4 5 6",
    r'{\"password\": \"hunter22x\"}', r"https:\/\/u:hunter22secret@host", r"max\u0040example.com",
    r'\\\"api_key\\\": \\\"abc123def\\\"', "[email:0123abcd]",
    "sq0atp-" + "a" * 22, "npm_" + "a" * 36, "shpat_" + "a" * 32, "AGE-SECRET-KEY-" + "A" * 30,
]  # fmt: skip
PIECES = st.one_of(
    st.sampled_from([secret for _, secret in SECRETS]), st.sampled_from(HARMLESS), st.sampled_from(TRICKY),
    st.text("0123456789 -.()/+abAB:=_@", max_size=24), st.text(max_size=12),
    st.text(f"0123456789 -.()/+ {BLANKS}{HYPHENS}\uff10\uff11\uff14", max_size=24),
    st.tuples(
        st.sampled_from([secret for _, secret in SECRETS]), st.sampled_from(" -"), st.sampled_from(BLANKS + HYPHENS)
    ).map(lambda one: one[0].replace(one[1], one[2])),
    st.from_regex(r"[0-9a-f]{32}", fullmatch=True),
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=5).flatmap(
    lambda parts: st.sampled_from(["", " ", "\n", ",", "a", "-", "\u00e9"]).map(lambda glue: glue.join(parts))
)


def field(tag: bytes, content: bytes) -> bytes:
    """A field of a message of protobuf: what it is, how long it is, and itself."""
    size, length = len(content), b""
    while size > 127:
        size, length = size >> 7, length + bytes([size & 127 | 128])
    return tag + length + bytes([size]) + content


def found_by_looking_at_everything(text: str) -> list[Found]:
    """What is found when no quick look is taken first."""
    found: list[Found] = []
    for look, read in redaction._looks(text):
        text = redaction._replaced(text, look, read, KEY.encode(), found)
    return found


@given(TEXTS)
@settings(max_examples=300)
def test_no_quick_look_overlooks_anything(text: str) -> None:
    everything = found_by_looking_at_everything(text)
    assert list(redact(text, KEY).found) == everything
    if not re.search(SUSPICIOUS, text.encode("utf-8", "surrogatepass")):
        assert everything == []


@given(st.lists(TEXTS, max_size=8), st.integers(0, 7))
@settings(max_examples=300)
def test_a_suspicion_is_raised_wherever_a_text_stands_in_a_message(texts: list[str], extra: int) -> None:
    """Lengths look like letters and digits, and stand right before the texts."""
    message, held = b"", list[tuple[int, int]]()
    for number, text in enumerate(texts, extra):
        one = text.encode("utf-8", "surrogatepass")
        message += field(b"\x0a*:\x1a\x12"[number % 5 : number % 5 + 1], one)
        if found_by_looking_at_everything(text):
            held.append((len(message) - len(one), len(message)))
    places = [match.span() for match in re.finditer(SUSPICIOUS, message)]
    for begins, ends in held:
        assert any(begin < ends and stop > begins for begin, stop in places), message[begins:ends]


@pytest.mark.parametrize("length", [*range(15, 130), 300])
def test_a_length_that_looks_like_a_sign_hides_nothing(length: int) -> None:
    for secret in ("DE89370400440532013000", "4111111111111111", "078-05-1120", "+4915123456789", f"sk-{'a' * 20}"):
        text = secret.ljust(length, " ").encode()
        assert re.search(SUSPICIOUS, field(b"\x0a", text)), secret


@pytest.mark.parametrize(("kind", "secret"), SECRETS)
@pytest.mark.parametrize("around", ["{}", "write {} now", "a:{}", "({})", "{}."])
def test_nothing_that_is_redacted_looks_harmless(kind: str, secret: str, around: str) -> None:
    text = around.format(secret)
    assert re.search(SUSPICIOUS, text.encode()) or not redact(text, KEY).found, kind


KINDS_OF_KEYS = [
    one.strip(" \n").replace("}+", "}") for one in redaction._KEY.partition("(?:")[2].rstrip(" )\n").split(" |")
]
TAIL = "0a1b2c3d4e" * 5
BY_SIGN = {sign: f"{sign}{TAIL}" for sign in redaction._KEY_SIGNS} | {
    "sk_": f"sk_live_{TAIL}", "rk_": f"rk_test_{TAIL}", "xox": f"xoxb-{TAIL}", "_v1_": f"dop_v1_{TAIL}",
    "shp": f"shpat_{TAIL}", "sq0": f"sq0atp-{TAIL}", "SG.": f"SG.{TAIL}.{TAIL}", "AKIA": f"AKIA{TAIL[:16].upper()}",
    "ASIA": f"ASIA{TAIL[:16].upper()}", "AGE-SECRET": f"AGE-SECRET-KEY-1{TAIL.upper()}",
}  # fmt: skip


def must_be_found_out(key: str) -> None:
    assert [one.kind for one in redact(key, KEY).found] == ["key"], "core.redaction._KEY_SIGNS lacks a sign of it"
    for text in (key.encode(), f"write {key} now".encode(), field(b"\x0a", key.encode())):
        assert re.search(SUSPICIOUS, text), "core.suspicion lacks a sign of it"


@pytest.mark.parametrize("sign", redaction._KEY_SIGNS)
def test_every_sign_of_a_key_in_a_text_long_enough_is_suspicious(sign: str) -> None:
    must_be_found_out(BY_SIGN[sign])


@pytest.mark.parametrize("kind", KINDS_OF_KEYS)
@given(data=st.data())
@settings(max_examples=20)
def test_whoever_adds_a_kind_of_key_adds_its_sign_too(kind: str, data: st.DataObject) -> None:
    least = st.from_regex(kind.partition("(?!")[0], fullmatch=True, alphabet=st.characters(codec="ascii"))
    must_be_found_out(data.draw(least))


@pytest.mark.parametrize(("text", "kept"), [
    (r'{"m": "{\"password\": \"hunter22x\"}"}', r'{"m": "{\"password\": \"[secret:'),
    (r"https:\/\/u:hunter22secret@host/x", r"https:\/\/u:[secret:"), (r"max\u0040example.com", "[email:"),
])  # fmt: skip
def test_a_secret_in_json_within_json_is_found_and_the_json_stays_whole(text: str, kept: str) -> None:
    found = redact(text, KEY).text
    assert found.startswith(kept)
    assert "hunter22" not in found
    if text.startswith("{"):
        assert json.loads(json.loads(found)["m"])["password"].startswith("[secret:")


def test_an_address_is_the_same_however_it_is_written() -> None:
    assert redact(r"max\u0040example.com", KEY).text == redact("max@example.com", KEY).text


def test_plain_sentences_and_ids_raise_no_suspicion() -> None:
    for text in (
        "The refund window is thirty days from delivery; send the order number and a photo.",
        "0af7651916cd43dd8448eb211c80319c", "token budget: see the risk-assessment-of-the-task, 12 3456 at 17:30",
        '{"max_tokens": 512, "key": "en", "at": 1764150000000}', "",
    ):  # fmt: skip
        assert not re.search(SUSPICIOUS, text.encode()), text
