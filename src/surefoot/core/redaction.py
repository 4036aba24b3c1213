"""Redaction: what must not be stored is replaced by what it was, so that a text stays readable and secrets do not.

One kind after the other is looked for, the surest signs first (PEM, JWT, keys), then what people are reached by, then
numbers, which are checked by their own arithmetic (Luhn, IBAN) before they are believed. Each find becomes
`[kind:tag]`; the tag is a keyed hash, so that equal values stay equal and nobody without the key can guess them back.
Numbers are found however they are parted: blanks, hyphens and digits of other alphabets count as those of ASCII,
and a dash beside a number may as well part it from a word.
A placeholder is never touched again, and nothing that touches one is: redacting twice is redacting once. Each pattern
reads a character a bounded number of times, so the time is linear in the text. Names and postal
addresses are not caught.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from surefoot.core.errors import Invalid

RedactedKind = Literal["pem", "jwt", "key", "secret", "email", "iban", "card", "ssn", "phone", "text"]
RedactionMode = Literal["typed", "hash", "off"]
PLACEHOLDER = re.compile(rf"\[(?:{'|'.join(get_args(RedactedKind))}):[0-9a-f]{{8}}\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One value that was replaced: its kind and its tag (8 hexadecimal characters, equal for equal values)."""

    kind: RedactedKind
    tag: str

    @property
    def placeholder(self) -> str:
        """What stands in the text instead."""
        return f"[{self.kind}:{self.tag}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """A text that may be stored, and what was taken out of it, kind by kind and in the order of the text."""

    text: str
    found: tuple[Found, ...] = ()

    @property
    def counts(self) -> Mapping[RedactedKind, int]:
        """How many of each kind were replaced."""
        return Counter(one.kind for one in self.found)


def redact(text: str, key: str | bytes, *, mode: RedactionMode = "typed") -> Redacted:
    """Give the text with keys, tokens, JWT, PEM, e-mail, phone, card, IBAN and SSN as typed placeholders.

    `key` makes the tags; keep it as long as equality has to survive. Mode `hash` keeps nothing but one tag of the
    whole text, `off` keeps all of it. Invalid without a key. Design: models.md §5.
    """
    if mode == "off":
        return Redacted(text=text)
    secret = _checked(key)
    if mode == "hash":
        if not text or PLACEHOLDER.fullmatch(text):
            return Redacted(text=text)
        whole = Found(kind="text", tag=_tag(secret, "text", text))
        return Redacted(text=whole.placeholder, found=(whole,))
    found: list[Found] = []
    for look, read in _looks(text):
        if look.may_hold(read(text)):
            text = _replaced(text, look, read, secret, found)
    return Redacted(text=text, found=tuple(found))


def _checked(key: str | bytes) -> bytes:
    secret = key.encode("utf-8", "surrogatepass") if isinstance(key, str) else key
    if not secret:
        raise Invalid("redaction has no key", hint="give it a secret of your own; equal values get equal tags under it")
    return secret


def _tag(secret: bytes, kind: str, value: str) -> str:
    return hmac.digest(secret, f"{kind}\0{value}".encode("utf-8", "surrogatepass"), hashlib.sha256).hex()[:8]


_Span = Callable[[re.Match[str]], tuple[int, int] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """How one kind is found: a pattern, whose group `v` (else all) is the value, and who judges it.

    `span` gives where the value begins and ends, or None for a false alarm. `norm` gives the form that is hashed.
    """

    kind: RedactedKind
    pattern: re.Pattern[str]
    may_hold: Callable[[str], bool]
    span: _Span
    norm: Callable[[str], str]


_Read = Callable[[str], str]


def _replaced(text: str, look: _Look, read: _Read, secret: bytes, found: list[Found]) -> str:
    """Go through the text once; after a false alarm go on one character further, so that none hides a true one.

    `read` gives the text as the pattern reads it, sign for sign.
    """
    parts: list[str] = []
    done, at, said = 0, 0, read(text)
    while (match := look.pattern.search(said, at)) is not None:
        if match.lastgroup == "old":
            at = match.end()
            continue
        span = look.span(match)
        if span is None or _touches(text, *span):
            at = match.start() + 1
            continue
        one = Found(kind=look.kind, tag=_tag(secret, look.kind, look.norm(said[span[0] : span[1]])))
        found.append(one)
        parts += [text[done : span[0]], one.placeholder]
        done = at = span[1]
    return "".join([*parts, text[done:]]) if parts else text


def _touches(text: str, start: int, end: int) -> bool:
    """Whether a placeholder ends where the value begins, or begins where it ends."""
    if start and text[start - 1] == "]":
        opened = text.rfind("[", max(0, start - 20), start)
        if opened >= 0 and PLACEHOLDER.fullmatch(text, opened, start):
            return True
    return PLACEHOLDER.match(text, end) is not None


def _whole(match: re.Match[str]) -> tuple[int, int] | None:
    return match.span()


def _value(match: re.Match[str]) -> tuple[int, int] | None:
    return None if PLACEHOLDER.search(match["v"]) else match.span("v")


def _no_plain_word(match: re.Match[str]) -> tuple[int, int] | None:
    """A password has a digit or a sign in it; `password: forgotten` is a sentence."""
    return None if match["v"].rstrip(".!?:)").isalpha() else _value(match)


def _card(match: re.Match[str]) -> tuple[int, int] | None:
    """The longest group-aligned run of 13 to 19 digits that passes Luhn and begins as card numbers do."""
    text, start = match.string, match.start()
    digits = [n for n in range(start, match.end()) if text[n] not in " -"]
    for length in range(min(19, len(digits)), 12, -1):
        end = digits[length - 1] + 1
        if end < len(text) and "0" <= text[end] <= "9":
            continue
        number = "".join(text[n] for n in digits[:length])
        if number[0] in "23456" and len(set(number)) > 1 and luhn(number):
            return start, end
    return None


def luhn(number: str) -> bool:
    """Whether a string of digits passes the check of card numbers (ISO/IEC 7812-1)."""
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in number[-2::-2])
    return (doubled + sum(int(digit) for digit in number[-1::-2])) % 10 == 0


_IBAN_LENGTHS = {
    code: int(length)
    for code, length in re.findall(
        "([A-Z]{2})([0-9]{2})",
        "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27"
        "GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22"
        "MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28"
        "TL23TN24TR26UA29VA22VG24XK20YE30",
    )
}
IBAN_COUNTRIES = tuple(_IBAN_LENGTHS)


def _iban(match: re.Match[str]) -> tuple[int, int] | None:
    """As many characters as this country's numbers have, if the check digits hold (ISO 13616, mod 97)."""
    text, start = match.string, match.start()
    signs = [n for n in range(start, match.end()) if text[n] != " "]
    length = _IBAN_LENGTHS.get(text[start : start + 2].upper(), 99)
    if len(signs) < length:
        return None
    end = signs[length - 1] + 1
    if end < len(text) and (text[end].isalnum()):
        return None
    number = "".join(text[n] for n in signs[:length]).upper()
    return (start, end) if int("".join(str(int(sign, 36)) for sign in number[4:] + number[:4])) % 97 == 1 else None


def _bare(value: str) -> str:
    return "".join(sign for sign in value if sign.isalnum()).upper()


def _address(value: str) -> str:
    return re.sub(r"\\+u0040", "@", value).lower()


def _same(value: str) -> str:
    return value


_HYPHENS = "".join(map(chr, (*range(0x2010, 0x2016), 0xFF0D)))
_PLAIN = {
    **dict.fromkeys((0xA0, 0x2007, 0x2009, 0x202F), " "), **{0xFF10 + digit: str(digit) for digit in range(10)},
}  # fmt: skip
_RARE = re.compile(f"[{''.join(map(chr, _PLAIN))}{_HYPHENS}]")
# A dash beside anything else parts a number from a word: `SSN\u2014123-45-6789`.
_PARTING = re.compile(f"(?<=[0-9 )])[{_HYPHENS}](?=[0-9 (])")


def _open(text: str) -> str:
    """Give a text with blanks and digits of other alphabets as those of ASCII, and dashes as they are."""
    return text.translate(_PLAIN)


def _plain(text: str) -> str:
    """Give a text with blanks, digits and the hyphens within numbers as those of ASCII, sign for sign."""
    return _PARTING.sub("-", _open(text))


def _readings(text: str) -> tuple[_Read, ...]:
    """How numbers may be read: twice where a dash is a part of one, or stands before it (`5\u2013123-45-6789`)."""
    return (_same,) if text.isascii() or _RARE.search(text) is None else (_plain, _open)


def _looks(text: str) -> Iterator[tuple[_Look, _Read]]:
    """Give what is looked for in a text, and how it is read for that."""
    readings = _readings(text)
    for look in _LOOKS:
        yield look, _same
    if _DIGITS.search(readings[0](text)):
        for look in _NUMBERS:
            for read in readings:
                yield look, read


def _look(
    kind: RedactedKind, pattern: str, *, may_hold: Callable[[str], bool], span: _Span = _whole,
    norm: Callable[[str], str] = _same,
) -> _Look:  # fmt: skip
    return _Look(
        kind=kind, pattern=re.compile(rf"(?P<old>{PLACEHOLDER.pattern})|(?:{pattern})", re.VERBOSE), span=span,
        norm=norm, may_hold=may_hold,
    )  # fmt: skip


def _holds(*parts: str) -> Callable[[str], bool]:
    def holds(text: str) -> bool:
        for part in parts:  # noqa: SIM110  twice as fast as any() of a generator, and asked of every text
            if part in text:
                return True
        return False

    return holds


def _matches(*patterns: str) -> Callable[[str], bool]:
    """Whether one of these is somewhere: what a pattern needs at least, so written that it begins with a digit.

    A pattern that begins with one sign, or one of a few, is looked for ten times as fast as one that looks behind.
    """
    searches = [re.compile(pattern).search for pattern in patterns]

    def matches(text: str) -> bool:
        for search in searches:  # noqa: SIM110
            if search(text) is not None:
                return True
        return False

    return matches


_DIGITS = re.compile("[0-9][^0-9]{0,3}[0-9][^0-9]{0,3}[0-9][^0-9]{0,3}[0-9][^0-9]{0,3}[0-9][^0-9]{0,3}[0-9]")


_B64 = "[A-Za-z0-9_-]"
_KEY = rf"""
    (?<![A-Za-z0-9_])(?:
        sk-{_B64}{{16,}}+ | [sr]k_(?:live|test)_[A-Za-z0-9]{{10,}}+ | sf_{_B64}{{30,}}+ |
        gh[opsur]_[A-Za-z0-9]{{20,}}+ | github_pat_\w{{20,}}+ | gl(?:pat|ptt|dt|rt)-{_B64}{{16,}}+ |
        gsk_[A-Za-z0-9]{{20,}}+ | xai-{_B64}{{20,}}+ | hf_[A-Za-z0-9]{{20,}}+ | r8_[A-Za-z0-9]{{20,}}+ |
        xox[a-z]-{_B64}{{10,}}+ | xapp-{_B64}{{10,}}+ | A(?:KI|SI)A[A-Z0-9]{{16}}(?![A-Za-z0-9]) |
        AIza{_B64}{{30,}}+ | ya29\.{_B64}{{20,}}+ | SG\.{_B64}{{16,}}+\.{_B64}{{16,}}+ | npm_[A-Za-z0-9]{{30,}}+ |
        pypi-{_B64}{{20,}}+ | do[opr]_v1_[a-f0-9]{{40,}}+ | shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{{20,}}+ |
        AGE-SECRET-KEY-[A-Z0-9]{{20,}}+ | sq0[a-z]{{3}}-{_B64}{{20,}}+ | pplx-[A-Za-z0-9]{{20,}}+
    )
"""
_KEY_SIGNS = (
    "sk-", "sk_", "rk_", "sf_", "gho_", "ghp_", "ghs_", "ghu_", "ghr_", "github_pat_", "glpat-", "glptt-", "gldt-",
    "glrt-", "gsk_", "xai-", "hf_", "r8_", "xox", "xapp-", "AKIA", "ASIA", "AIza", "ya29.", "SG.", "npm_", "pypi-",
    "_v1_", "shp", "AGE-SECRET", "sq0", "pplx-",
)  # fmt: skip
_PEM_END = r"-----END[ ](?:[A-Z0-9]{1,20}[ ]){0,4}PRIVATE[ ]KEY(?:[ ]BLOCK)?-----"
_PEM = rf"{_PEM_END.replace('END', 'BEGIN')}(?:[^-]|-(?!----))*+(?:{_PEM_END})?"
_NAMED = r"""
    (?i:(?<![a-z0-9])(?:bearer|basic)[ ]{1,4}(?P<b>(?=[A-Z]{0,64}[^A-Z\s])[A-Z0-9._~+/=-]{16,}+)) |
    (?i:(?:api[ _-]?key|access[ _-]?key|secret(?:[ _-]?key)?|passw(?:or)?d|passphrase|pwd|
        (?:auth|access|refresh)[_-]?token|(?<![a-z])token)
        (?:\\{0,4}["'])?[ ]{0,4}[:=][ ]{0,4}(?:\\{0,4}["'])?)
    (?P<v>(?:[^\s"',;<>&\\]|\\(?!\\{0,3}["'])){6,}+)
"""
_NAMES = ("bearer", "basic", "key", "secret", "passw", "passphrase", "pwd", "token")


def _named(match: re.Match[str]) -> tuple[int, int] | None:
    return match.span("b") if match["b"] is not None else _no_plain_word(match)


_MARKS = ("-", "_", "AKIA", "ASIA", "AIza", "ya29.", "SG.", "xox", "sq0", "shp")
_marked, _signed = _holds(*_MARKS), _holds(*_KEY_SIGNS)


def _may_hold_keys(text: str) -> bool:
    """Most texts have none of a few signs, which saves looking for all of them."""
    return _marked(text) and _signed(text)


_named_somewhere, _schemed = _holds(*_NAMES), _holds("bearer", "basic")
_assigned = _matches(r"(?:key|secret|passwo?r?d|passphrase|pwd|token)\\{0,4}[\"']?[ ]{0,4}[:=]")


def _names(text: str) -> bool:
    folded = text.lower()
    if not folded.isascii():
        folded = folded.replace("\u017f", "s").replace("\u0131", "i")  # as a pattern that ignores case takes them
    return _named_somewhere(folded) and (_schemed(folded) or _assigned(folded))


_LOOKS: tuple[_Look, ...] = (
    _look("pem", _PEM, may_hold=_holds("-----BEGIN")),
    _look("jwt", rf"(?<!{_B64})eyJ{_B64}{{8,}}+\.{_B64}{{4,}}+(?:\.{_B64}++){{0,3}}", may_hold=_holds("eyJ")),
    _look("key", _KEY, may_hold=_may_hold_keys),
    _look("secret", r":(?:\\?/){2}[^\s/:@\[\]]{0,100}:(?P<v>[^\s/@\[\]]{1,200})@", may_hold=_holds("://", r":\/\/"),
          span=_value),
    _look("secret", _NAMED, may_hold=_names, span=_named),
    _look("email", r"(?<![\w.%+'-])[\w.%+'-]++(?:@|\\{1,4}u0040)(?:[\w-]++\.){1,10}[^\W\d_]{2,24}+(?![\w@])",
          may_hold=_holds("@", r"\u0040"), norm=_address),
)  # fmt: skip
_NUMBERS: tuple[_Look, ...] = (
    _look("iban", r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ ]?[A-Za-z0-9]){11,30}", span=_iban, norm=_bare,
          may_hold=_matches(
              r"[0-9]{2}(?<=[A-Za-z]{2}[0-9]{2})(?<![A-Za-z0-9][A-Za-z]{2}[0-9]{2})(?: ?[A-Za-z0-9]){11}"
          )),
    _look("card", r"(?<![0-9])[0-9](?:[ -]?[0-9]){12,18}", may_hold=_matches("[0-9](?:[ -]?[0-9]){12}"), span=_card,
          norm=_bare),
    _look("ssn", r"(?<![\w-])(?!000|666|9)[0-9]{3}(?P<s>[ -])(?!00)[0-9]{2}(?P=s)(?!0000)[0-9]{4}(?![\w-])",
          may_hold=_matches("[0-9]{3}[ -][0-9]{2}[ -][0-9]{4}"), norm=_bare),
    _look("phone", r"""
        (?<![\w.+-])(?:
            (?:\+|00)[1-9](?:[ ./-]?[ ]?(?:\([0-9]{1,4}\)|[0-9])){5,14} |
            (?:1[ .-])?(?:\([2-9][0-9]{2}\)[ ]?|[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4} |
            0[1-9](?:[ .-][0-9]{2}){4} |
            (?:\(0[1-9][0-9]{1,4}\)|0[1-9][0-9]{1,4})[ /-]{1,3}[0-9]{2,8}(?:[ -][0-9]{2,8}){0,3} |
            01[5-7][0-9]{8,10}
        )(?![\w]|[-.][0-9])
    """, norm=_bare, may_hold=_matches(
        r"\+[1-9]", "00[1-9]", r"[0-9]{3}(?:\) ?|[ .-])[2-9][0-9]{2}[ .-][0-9]{4}", "0[1-9](?:[ .-][0-9]{2}){4}",
        r"0[1-9][0-9]{1,4}\)?[ /-]{1,3}[0-9]{2}", "01[5-7][0-9]{8}",
    )),
)  # fmt: skip
