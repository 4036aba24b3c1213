"""Suspicion: the least that any secret or number which is redacted shows of itself, as one pattern over bytes.

Most of what agents say holds nothing to redact, and to find that out kind by kind costs more than all the rest of
taking a span. So the bytes of a whole request are looked through once, as they came in. Where this pattern finds
nothing, `core.redaction` finds nothing either; where it does, the message is read and judged. It has neither
look-around nor back-references, so that an automaton can look for it in one pass.

Numbers may be written with the blanks, hyphens and digits of other alphabets, and bytes may be a text of 16 bits a sign
(`WIDE`): each has a part of its own, which the others need not know of.

A text within a message of protobuf follows its length, which may look like any letter or digit, and that follows the
tag of a field with texts (1, 2, 3, 5 and 7) or the rest of the length. So what must not follow a letter may follow it.
"""

from __future__ import annotations

from surefoot.core.redaction import IBAN_COUNTRIES

# What stands between digits like a blank or a hyphen, or is a digit, though it is none of ASCII's; in UTF-8.
_BLANK = r"\xc2\xa0|\xe2\x80[\x87\x89\xaf]"
_RARE = rf"(?:{_BLANK}|\xe2\x80[\x90-\x95]|\xef\xbc\x8d)"
WIDE = rb"(?:[ -~]\x00){3}|(?:\x00[ -~]){3}"
"""Three letters of a text in UTF-16, whichever byte comes first."""

# A pattern that ignores case takes these for i, k and s too.
_I, _K, _S = "(?:[iI]|\xc4[\xb0\xb1])", "(?:[kK]|\xe2\x84\xaa)", "(?:[sS]|\xc5\xbf)"
_SECRETS = f"(?i:{_K}ey|{_S}ecret|pa{_S}{_S}wo?r?d|pa{_S}{_S}phra{_S}e|pwd|to{_K}en)"
_PHONES = (
    r"(?:\+|00)[1-9](?:[ ./-]?[ ]?\(?[0-9]\)?){5}|"
    r"(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4}|"
    r"0[1-9](?:[ .-][0-9]{2}){4}|\(?0[1-9][0-9]{1,4}\)?[ /-]{1,3}[0-9]{2}|01[5-7][0-9]{8}"
)
_TAIL = r"[A-Za-z0-9_\x80-\xff-]{10}"
_KEY_SIGNS = (
    r"sk-|[sr]k_(?:live|test)_|sf_|gh[opsur]_|github_pat_|gl(?:pat|ptt|dt|rt)-|gsk_|xai-|hf_|r8_|xox[a-z]-|xapp-|"
    r"ya29\.|SG\.|npm_|pypi-|do[opr]_v1_|shp(?:at|ca|pa|ss)_|sq0[a-z]{3}-|pplx-|AIza"
)


def _after(signs: str) -> str:
    """What comes after none of these signs, or at the beginning of a text: after a length, which may be one of them."""
    return rf"(?:^|[^{signs}]|[\n\x12\x1a*:\x80-\xff][{signs}])"


_PARTS = (
    "-----BEGIN",
    r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4}",
    rf"{_after('A-Za-z0-9_')}(?:{_KEY_SIGNS}){_TAIL}",
    r"A(?:KI|SI)A[A-Z0-9]{16}",
    "AGE-SECRET-KEY-",
    r":(?:\\?/){2}[^ \t\n\r\f\v/:@\[\]]*:[^ \t\n\r\f\v/@\[\]]+@",
    rf"(?i:bearer|ba{_S}{_I}c) {{1,4}}[A-Za-z0-9._~+/=\x80-\xff-]{{16}}",
    rf"{_SECRETS}(?:\\{{0,4}}[\"'])? {{0,4}}[:=] {{0,4}}(?:\\{{0,4}}[\"'])?[^ \t\n\r\f\v\"',;<>&]{{6}}",
    rf"{_SECRETS}\x12",  # the name of an attribute, before the tag of its value
    r"[A-Za-z0-9_.%+'\x80-\xff-](?:@|\\{1,4}u0040)[A-Za-z0-9_.\x80-\xff-]+\.[A-Za-z\x80-\xff]{2}",
    rf"{_after('A-Za-z0-9')}(?i:{'|'.join(IBAN_COUNTRIES)})[0-9]{{2}}(?:(?: |{_BLANK})?[A-Za-z0-9]){{11}}",
    rf"{_after('0-9')}[2-6](?:[ -]?[0-9]){{12}}",
    rf"{_after('0-9')}[0-9]{{3}}[ -][0-9]{{2}}[ -][0-9]{{4}}",
    rf"{_after('A-Za-z0-9_.+-')}(?:{_PHONES})",
    rf"[0-9)][ ./-]{{0,2}}{_RARE}(?:[ ./-]|{_RARE}){{0,2}}[0-9(]",
    r"\xef\xbc[\x90-\x99]",
    WIDE.decode("latin-1"),
)
SUSPICIOUS = "|".join(f"(?:{part})" for part in _PARTS).encode("latin-1")
"""A regular expression over bytes, in the words that Python's engine and RE2 share."""
