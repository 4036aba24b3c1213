"""What no text may carry into a prompt: ways out of it, hidden words, and orders to whoever reads it.

A text is folded first (width, case, accents, look-alike letters), so that one pattern sees all its disguises; what
hides words altogether (invisible characters, blobs, mixed alphabets, words spelled out letter by letter) is refused
for hiding. Texts that quote a customer (`quoted`) may talk about anything, so only what is dangerous wherever it
stands is refused in them. Every pattern is bounded, so the time is linear in the text. What matches is refused; what
does not match is not thereby harmless: held-out cases, a canary and a person come after this.
"""

from __future__ import annotations

import base64
import re
import unicodedata

from surefoot.core.phrase import Spotted, phrases, spotted

_RULES = phrases(r"""
    instructions? | rules? | guard ?-?rails? | guidelines? | guidance | prompts? | policy(?! (?:number|holder)) |
    policies | restrictions? | constraints? | directives? | directions | safeguards? | safety | system messages? |
    programming
""")
_FRAME = phrases(r"""
    instructions? | rules | guard ?-?rails? | guidelines | prompts? | restrictions | constraints | directives? |
    safeguards?
""")
_WHO = phrases("users? | customers? | callers? | clients? | senders? | messages? | persons? | they | he | she")
_OBEY = phrases(r"""
    follow | following | obey | obeying | apply | applying | adher(?:e|ing) to | abid(?:e|ing) by | listen(?:ing)? to |
    comply(?:ing)? with | respect | respecting | honou?r | honou?ring
""")
_DROP = (
    phrases(
        r"""
    ignor(?:e|es|ing) | disregard | disregards | disregarding | forget | forgetting | overrid(?:e|es|ing) |
    bypass | bypasses | bypassing | overlook | overlooking | overrul(?:e|es|ing) | supersed(?:e|es|ing) |
    circumvent | circumvents | circumventing | neglect | neglects | neglecting | violat(?:e|es|ing) | disobey |
    break(?:ing)? (?:all|any|every|the|your) | discard | discarding | abandon | abandoning | set aside |
    throw (?:away|out) | pay no (?:attention|heed) to |
    (?:do not|don't|dont|must not|should not|never|no longer|stop|cease|refuse to) (?:need to |have to )?<obey>
    """,
        obey=_OBEY,
    )
    + r"(?! (?:my|our)\b)"
)
_ORDER = spotted(
    r"""
    <drop>\b[^.!?]{0,60}?\b<rules> |
    <drop> (?:the )?(?:above|preceding|foregoing) |
    <drop> (?:all|everything|anything|whatever|what)\b[^.!?]{0,40}\b(?:above|before|previous|previously|prior|
        earlier|so far|told) |
    (?:cancel|erase|reset|revoke|repeal|clear)\b[^.!?]{0,30}\b<frame> |
    ignorier*[^.!?]{0,50}\b\w{0,20}(?:anweisung|regel|vorgabe|richtlinie|instruktion|prompt)* |
    (?:vergiss|missachte|umgehe)\b[^.!?]{0,50}\b(?:\w{0,20}(?:anweisung|regel|vorgabe|richtlinie)|alles)* |
    (?:anweisung|regel|vorgabe|richtlinie)*[^.!?]{0,30}\b(?:gelten? nicht|entfall*|ungultig|aufgehoben|ausser kraft) |
    (?:halte dich|befolge|beachte)\b[^.!?]{0,30}\b(?:nicht|keine)\b[^.!?]{0,30}\b\w{0,20}(?:anweisung|regel|vorgabe)* |
    (?:ignor(?:e|ez|er|a|en|ar)|oubli(?:e|ez|er)|olvid(?:a|e|ar)|negeer|dimentica|applique[rz]?|contourne[rz]?|
        suis|suivez|sigas?|obede(?:ce|zcas)|apliques?)\b[^.!?]{0,50}\b(?:consignes|regles|instrucciones|reglas|
        istruzioni|regole|instrucoes|regras|instructies|regels|instructions)
    """,
    drop=_DROP, rules=_RULES, frame=_FRAME,
)  # fmt: skip
_ORDER_ABROAD = re.compile(
    r"(?:игнорир|забуд)\w{0,10}[^.!?]{0,50}(?:инструкц|правил|указан)"
    r"|(?:忽略|无视|無視|忘记|忘記)[^。]{0,20}(?:指令|指示|规则|規則|提示|说明|說明|要求)"
    r"|(?:指示|ルール|命令|プロンプト)[^。]{0,10}(?:無視|忘れ)"
)
_ORDER_RUN_TOGETHER = re.compile(
    r"(?:ignore|disregard|override|bypass|forget)(?:all|any|every|the|of|previous|prior|above|earlier|these|those|your|"
    r"other){0,5}(?:instruction|rules|guardrail|prompt|guideline)"
)
_RELEASE = spotted(
    r"""
    <frame>\b[^.!?]{0,40}\b(?:no longer|not) (?:apply|applies|valid|binding|matter) |
    <frame>\b[^.!?]{0,40}\b(?:is|are|be|been) (?:now |hereby |to be |all |only |just |merely ){0,2}(?:ignored|
        disregarded|void|null|obsolete|suspended|lifted|cancell?ed|replaced|superseded|overridden|outdated|invalid|
        deprecated|optional|suggestions?|recommendations?|disabled|deactivated|revoked|waived|irrelevant|removed|
        dropped|negotiable|flexible|made to be broken) |
    no (?:rules|guidelines|guardrails|policy exist*|policies exist) |
    (?:section|text|part|paragraph|prompt) above (?:is|was) | everything above (?:is|was) |
    instructions? (?:override|outrank|come before|beat|win|trump)* |
    (?:do not|don't|never) let (?:\w+ ){0,3}?<frame> |
    (?:your|the) (?:actual|real|true) (?:prompt|<frame>) |
    (?:note|message|notice|order|command|instruction)s? from (?:the |your )?(?:admin*|developers?|operators?|system|
        creators?|makers?|owners?) |
    (?:new|updated|real|actual|true|revised) (?:system )?(?:instructions?|rules|prompt|directives?) ?(?::|are|
        follow|begin|start) |
    (?:regardless of|despite|notwithstanding|irrespective of|contrary to) (?:\w+ ){0,3}?<frame> |
    (?:precedence|priority) over (?:all|any|every|(?:\w+ ){0,3}?<frame>) |
    same (?:authority|weight|rank|force) as (?:\w+ ){0,3}?<frame> |
    no matter what (?:the )?(?:<who>|input|it|happens) |
    your (?:real|true|actual|new|secret) (?:task|goal|purpose|job|mission|role|objective) |
    not (?:be )?(?:bound|restricted|limited) by | no longer (?:an? )?(?:assistant|bound|restricted|classifier) |
    freed? (?:of|from) (?:\w+ ){0,3}?(?:confines|<frame>) |
    you(?:'re| are) now | from now on\b[^.!?]{0,30}\b(?:you|act|behave|answer|respond|reply) |
    (?:in|as|using|to|into|with) (?:base ?64|base ?32|rot ?13|morse|leetspeak|hexadecimal|cipher)
    """,
    frame=_FRAME, who=_WHO,
)  # fmt: skip
_PERSONA = spotted(r"""
    pretend (?:to be an?|you are|you're|you have|that you) | do anything now | following persona |
    (?:act|behave) (?:as|like) (?:an? |if )?(?:unrestricted|unfiltered|uncensored|jailbroken|evil|dan|admin*|root|
        developer|you (?:have|had|are|were)|(?:\w+ )?(?:terminal|shell|interpreter|console)) |
    (?:unfiltered|uncensored|unrestricted|jailbroken) (?:ai|assistant|model|mode|version|answer|response|output)* |
    you have no (?:restrictions|limits|limitations|rules|filters|guidelines) |
    (?:you are|you're|are in|enter|operat*|respond|act|with|running) (?:\w+ ){0,3}?(?:developer|debug|maintenance|god|
        admin|sudo|unrestricted|dan|jailbreak|root|unsafe) mode
""")
_ALLOW = spotted(
    r"""
    say yes | (?:approv|accept|grant)(?:e|ing)? by default | default to (?:approv|accept|grant)* |
    accept (?:\w+ )?(?:instructions|commands) | agree (?:with|to) (?:everything|anything|all|whatever) |
    always (?:\w+ ){0,2}?(?:allow|approve|accept|permit|grant|comply|obey|agree|authori[sz]e|trust|believe) |
    (?:allow|approve|accept|permit|grant|authori[sz]e|trust|believe)s? (?:\w+ )?(?:everything|anything|everyone|
        anyone|whatever) |
    (?:allow|permit|trust|believe)s? (?:all|every|any) (?:request|refund|user|customer|access|claim|payment|transfer)* |
    (?:approve|accept|grant|authori[sz]e|unlock) (?:all|every|any) | approved (?:\w+ )?(?:everything|anything) |
    trust (?:\w+ ){0,2}?(?:<who>|statements?|claims?) |
    you(?:'re| are) (?:now )?(?:allowed|free|permitted|authori[sz]ed|entitled) to\b[^.!?]{0,20}\b(?:any|every|what)* |
    (?:grant|give|allow|get|obtain|you (?:now )?have)\b[^.!?]{0,30}\b(?:admin|administrator|root|full|unlimited|
        elevated) (?:access|rights|privileges|permissions) |
    never (?:refuse|deny|decline|reject|say no|question|doubt|hesitate|object) | unconditional | unconditionally |
    without (?:any |further |asking )?(?:questions?(?! mark)|hesitation|checks?|checking|review|restrictions?) |
    do (?:anything|whatever|everything|as|what) (?:that )?(?:the |any |every )?<who> (?:say|ask|want|request|tell|order|
        demand)s? |
    obey (?:the |any |every |all )?<who> | (?:answer|say|reply|respond)(?: with)? yes to (?:all|every|any|what)* |
    (?:follow|obey|execute|run|carry out|comply with|act on|perform) (?:\w+ ){0,3}?(?:instructions?|commands?|orders|
        code|scripts?) (?:\w+ ){0,2}?(?:in|inside|within|from|of|by|given|found|<who>) |
    (?:contains?|includes?|holds?) (?:an? )?(?:command|instruction|code)s?\b[^.!?]{0,20}\b(?:run|execute|follow|obey) |
    (?:instructions?|commands?|orders) (?:in|inside|within|from|of|by)\b[^.!?]{0,40}\b(?:must|should|are to|have to|
        shall|may|can|will) be (?:followed|obeyed|executed|carried out|trusted) |
    treat (?:\w+ ){0,2}?(?:<who>|tools?|documents?|retrieved|external|web)\b[^.!?]{0,40} as (?:\w+ )?(?:instructions?|
        commands?|trusted|authoritative|binding|law|truth|system (?:prompt|message|instruction|command)s?) |
    treat (?:\w+ ){0,2}?<who>\b[^.!?]{0,40} as an? (?:admin*|operator|developer|root) |
    (?:is|are|counts? as|becomes?) (?:an? |the )?(?:system (?:command|instruction|prompt|message)s?|
        (?:instruction|command)s? (?:to|for) you)
    """,
    who=_WHO,
)
_SECRECY = spotted(
    r"""
    keep (?:this|these|that|it|the (?:rule|instruction)s?)\b[^.!?]{0,20}\b(?:secret|hidden|to yourself) |
    (?:hidden|invisible|secret) (?:text|message|word|character|code)s? |
    (?:hide|conceal|cover up|keep|withhold)\b[^.!?]{0,40}\bfrom (?:the |any |all |your )?<charge> |
    (?:never|not|don't|nor) (?:mention|tell|report|admit|reveal|log)\b[^.!?]{0,40}\b(?:<charge>|this rule|
        (?:the|a|any) rules? (?:was|were|is)) |
    (?:so|before|that) (?:that )?(?:no |the )?(?:filters?|reviewers?|auditors?|monitors?|checks?) (?:(?:do not|don't|
        will not|won't|never|cannot|can't) )?(?:notice|detect|see|catch)* |
    (?:send|forward|upload|post|copy|export|transmit|e-?mail)\b[^.!?]{0,40}\bto (?:an? |the |our |my )?(?:\w+ )?(?:
        external|third part*|api|endpoint|server|webhook|url|pastebin|collector|attacker|outsider)s?
    """,
    charge=phrases("reviewers? | auditors? | supervisors? | operators? | developers? | owners? | humans?"),
)
_LINK = re.compile(
    r"\b[a-z][a-z0-9+.-]{1,15}://|\bwww\d?\.|\b(?:javascript|vbscript|mailto|livescript):|\bfile:/|\bhxxps?\b"
    r"|\bdata:(?:[a-z]+/|[;,])|\]\(|!\[|^\s{0,9}\[[^\]\n]{1,99}\]:|(?<!:)//[\w-]{1,63}\.\w"
    r"|\b[\w-]{1,63}\.(?:com|net|org|io|dev|xyz|biz|info|app|top|site|online|link|click|ru|cn|tk|cc|ly|gg|ai|sh|zip)\b"
    r"|\b[\w-]{1,63}\.[a-z]{2,24}(?::\d{2,5})?/\w|\b\d{1,3}(?:\.\d{1,3}){3}\b"
    r"|\w ?[\[({] ?(?:\.|dot) ?[\])}] ?\w|\w (?:dot|\.) ?(?:com|net|org|io|dev|xyz|info|app|ru|cn)\b",
    re.MULTILINE,
)
_MAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}\.\w|\w ?[\[({] ?(?:@|at) ?[\])}] ?\w|\w at \w{1,63} dot \w")
_ROLE = re.compile(
    r"^\W{0,9}(?:assistant|user|human|ai|(?:system|developer|admin)"
    r"(?: (?:prompt|message|instructions?|override|update|notice|command|alert))?)\W{0,3}:"
    r"|<\|[^|\n]{0,40}\||\[/?(?:inst|system|sys|assistant)\]|<</?sys>>|</?(?:s|start_of_turn|end_of_turn|eos|bos)>"
    r"|</?(?:system|assistant|user|tool|instructions?|rules?|prompt|guardrails?|context)(?:[\s_-][^>\n]{0,40})?>"
    r"|\b(?:begin|end|start) (?:of )?(?:the )?(?:system|user|hidden|new|initial) (?:prompt|instructions?|message)\b"
    r"|^#{1,6} ?(?:system|instructions?|response|new rules|assistant)\s?:|^#{3,6} ?(?:instruction|response|system)\s?$"
    r"|^\s{0,9}(?:rules|tools|examples):\s{0,9}$",
    re.MULTILINE,
)
_MARKUP = re.compile(
    r"\{\{|\}\}|\{%|%\}|\$[{(]|<%|%>|<!--|<\s?/?\s?(?:script|img|iframe|a|svg|object|embed|form|input|style|link|meta|"
    r"html|body|div|base|video|audio|math)\b"
)
_CODE = re.compile(
    r"\bos\.(?:system|environ|popen)|\bsubprocess\b|\b(?:eval|exec)\(|\brm -rf\b|\bcurl -|\bchmod \+?[x0-7]"
    r"|^\s{0,20}import [a-z][\w, .]{0,80}$|^\s{0,20}from \w[\w.]{0,60} import |\bdocument\.cookie\b"
    r"|\bdrop table\b|\bor 1 ?= ?1\b|\binsert into \w{1,40} ?(?:\(|values)|\bselect (?:\*|@@|case when)|\bunion select",
    re.MULTILINE,
)
_TOKEN = re.compile(r"[A-Za-z0-9+/_-]{16,}")
_CODED = re.compile(
    r"(?:\b|0x)(?:[0-9a-f]{2}[ :,]?){16}|(?:\\x[0-9a-f]{2}){4}|(?:\\u\{?[0-9a-f]{4}){3}|(?:%[0-9a-f]{2}){3}"
    r"|(?:&#x?[0-9a-f]{1,6};\s?){2}|(?:\b[01]{8}\s?){4}",
    re.IGNORECASE,
)
_SPELLED = re.compile(r"(?<![^\W_])[^\W\d_](?:[ .\-_*·|~+\n]{1,3}[^\W\d_]){5,}(?![^\W_])")
_HIDING = frozenset({"Cc", "Cf", "Co", "Cs"})
# Blanks that count as letters or marks, and variation selectors; of these only the emoji one is of any use.
_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\ufe00-\ufe0e\U000e0000-\U000e0fff]")
_EMOJI = "\u00a9\u00ae\u203c-\u3299\U0001f000-\U0001faff"
_EMOJI_GLUE = re.compile(rf"(?<=[0-9#*{_EMOJI}])\ufe0f|(?<=[\ufe0f{_EMOJI}])\u200d(?=[{_EMOJI}])")
_MARKS = re.compile("[\u0300-\u036f]")
# Cyrillic, Greek and small-capital letters that look Latin, and the Latin letters they look like.
_LOOKS = "аеорсухіјѕԁԛԝһкмтвнгзьαορνικυτηχβεγω"
_LIKE = "aeopcyxijsdqwhkmtbhr3baopvikutnxbeyw"
_SMALL = "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢıɡɑ"
_PLAIN = "abcdefghijklmnoprstuvwyziga"
_LOOKALIKES = str.maketrans(_LOOKS + _SMALL, _LIKE + _PLAIN)
_MIXED = re.compile(rf"[a-z][{_LOOKS}]|[{_LOOKS}][a-z]")
_QUOTES = str.maketrans("’‘“”„«»", '\'\'"""""')
_LEET = str.maketrans("013457@$!", "oieastasi")
_LEETED = re.compile(r"\b(?=\w*[a-z])[a-z@$!]*[013457@$!][\w@$!]*")
# Hyphens within words, and any mark between single letters.
_JOINTS = re.compile(r"(?<=\w)-(?=\w)|(?<=\b\w)[._*·~](?=\w\b)")
_ROT13 = str.maketrans("abcdefghijklmnopqrstuvwxyz", "nopqrstuvwxyzabcdefghijklm")
_URL_SAFE = str.maketrans("-_", "+/")

# Code, pattern, reason, and whether customers' words are judged by it too.
_Smell = tuple[str, re.Pattern[str] | Spotted, str, bool]
_CARRIED: tuple[_Smell, ...] = (
    ("injection-disguise", _MIXED, "it mixes alphabets within a word", True),
    ("injection-disguise", _SPELLED, "it spells words out letter by letter", True),
    ("injection-url", _LINK, "it carries a link", True),
    ("injection-email", _MAIL, "it carries an e-mail address", True),
    ("injection-role", _ROLE, "it imitates a role marker or a heading of the prompt", True),
    ("injection-markup", _MARKUP, "it carries markup or a template", True),
    ("injection-code", _CODE, "it carries code", False),
)
_SAID: tuple[_Smell, ...] = (
    ("injection-order", _ORDER, "it orders to ignore other instructions", True),
    ("injection-order", _ORDER_ABROAD, "it orders to ignore other instructions", True),
    ("injection-persona", _PERSONA, "it tells the agent to be somebody else", True),
    ("injection-order", _RELEASE, "it says that other instructions do not count", False),
    ("injection-allow", _ALLOW, "it orders to allow, obey or trust without asking", False),
    ("injection-secrecy", _SECRECY, "it hides something, or sends it out", False),
)


def smell(text: str, *, quoted: bool = False) -> tuple[str, str] | None:
    """Give the code and the reason why a text may not go into a prompt; None when it may.

    `quoted` texts are customers' words in an example.
    """
    if found := _hidden(text):
        return found
    folded = fold(text)
    views = _views(folded)
    for smells, readings in ((_CARRIED, (folded,)), (_SAID, views)):
        for code, pattern, reason, everywhere in smells:
            if (everywhere or not quoted) and any(pattern.search(reading) for reading in readings):
                return code, reason
    if _ORDER_RUN_TOGETHER.search(re.sub(r"[^a-z]+", "", views[0].translate(_LOOKALIKES))):
        return "injection-order", "it orders to ignore other instructions"
    return None


def fold(text: str) -> str:
    """Give the form in which patterns see a text: one width, one case, no accents, straight quotes; lines stay."""
    plain = _MARKS.sub("", unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold()))
    return re.sub(r"[^\S\n]+", " ", unicodedata.normalize("NFC", plain).translate(_QUOTES))


def unmasked(folded: str) -> str:
    """Give a folded text without its masks: look-alike letters, digits for letters, dots or hyphens within words."""
    latin = _JOINTS.sub("", folded.translate(_LOOKALIKES))
    return _LEETED.sub(lambda match: match.group().translate(_LEET), latin)


def _views(folded: str) -> tuple[str, ...]:
    """The readings of a text in one line: as it stands, unmasked, rotated and backwards."""
    flat = " ".join(folded.split())
    latin = flat.translate(_LOOKALIKES)
    return tuple(dict.fromkeys((flat, latin, unmasked(flat), latin.translate(_ROT13), latin[::-1])))


def _hidden(text: str) -> tuple[str, str] | None:
    seen = text if text.isascii() else _EMOJI_GLUE.sub("", text)
    if any(unicodedata.category(char) in _HIDING and char not in "\n\r\t" for char in seen) or _BLANK.search(seen):
        return "injection-invisible", "it carries invisible characters"
    if _CODED.search(text) or any(_is_blob(match.group()) for match in _TOKEN.finditer(text)):
        return "injection-blob", "it carries an encoded blob"
    return None


def _is_blob(token: str) -> bool:
    """Whether a long run of letters and digits is no words: random-looking, absurdly long, or readable as base64."""
    if all(len(word) <= 24 and (len(word) < 2 or word[1:].islower()) for word in re.split(r"[_/+-]", token)):
        return False
    if len(token) >= 48 or (len(token) >= 32 and any(char.isdigit() for char in token)):
        return True
    raw = base64.b64decode(token[: len(token) // 4 * 4].translate(_URL_SAFE))
    return sum(32 <= byte < 127 or byte in b"\n\r\t" for byte in raw) >= 0.9 * len(raw)
