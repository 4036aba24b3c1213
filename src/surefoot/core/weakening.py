"""What works against a guardrail: texts that give away what must stay inside, or excuse the agent from a duty.

Judged sentence by sentence. A rule of the common form *if …, answer L* or *treat X as L* speaks about messages, so
only what it orders beside its label counts; in other sentences a leading condition may name what customers talk
about (a password, a deletion), but no duty. Sentences that make a duty stricter (*never share passwords*) are set
aside first. What is left is refused if it gives a secret away, destroys, speaks of what is not its business, leaves
the label set, or if an excuse stands beside a duty.
"""

from __future__ import annotations

import re

from surefoot.core.injection import fold, unmasked
from surefoot.core.phrase import Spotted, phrases, spotted

_THINGS = phrases(
    "data | accounts? | orders? | details | messages? | address(?:es)? | phone numbers? | invoices? | files?"
)
_OTHERS = phrases(
    r"""
    other (?:user|customer|client|people)'?s?'? <things> |
    <things> of (?:other|any|all) (?:users?|customers?|clients?|people)
    """,
    things=_THINGS,
)
_INSIDE = phrases(
    r"""
    credentials? | passwords? | passcodes? | passphrases? | secrets? | api[ -]?keys? | (?:private|access) keys? |
    tokens? | pins? | cvv | cvc | card numbers? | social security numbers? | ssns? | one[- ]time codes? | otps? |
    session (?:cookies?|ids?) | environment variables? | recovery codes? | seed phrases? |
    internal (?:\w+ )?(?:notes?|data|documents?|prices?|lists?) |
    (?:personal|private|customer|user|confidential|internal) (?:data|information|details) | account (?:data|details) |
    <others> | (?:system|the) prompt | system (?:message|instructions?|configuration) |
    (?:initial|hidden|original) (?:prompt|instructions?|rules) |
    (?:your|these|starting|internal) (?:\w+ )?instructions |
    instructions (?:you|above|at the (?:start|beginning|top)) | (?:text|words|content|everything|anything) above |
    above text | what (?:were you|you were) (?:told|given|instructed) | initiali[sz]ation (?:string|prompt) |
    (?:entire|whole|full|this) (?:conversation|prompt|context) |
    zugangsdaten | passworte?r? | kennworte?r? | geheimnisse? | mots? de passe | contrasenas?
    """,
    others=_OTHERS,
)
_KNOWN = phrases(  # what may be said about a secret without giving it away
    "reset* | recover* | chang* | link* | page* | polic* | requirement* | help* | form* | field* | issue* | problem* | "
    "manager* | question* | error*"
)
_GIVE = phrases(r"""
    (?:reveal|print|repeat|leak|output|display|dump|echo|forward|transmit|show|send|tell|publish|post|e-?mail|
        collect)(?:ing)? |
    (?:disclos|shar|expos|quot|recit|provid|giv|memoriz|encod|translat|summariz|paraphras|past|stor|sav)(?:e|ing) |
    hand(?:ing)? (?:out|over) | read (?:\w+ ){0,4}?(?:out|aloud) | write (?:out|down) |
    return(?:ing)? (?:the|your|all) | log(?:ging)? (?!in|out|on|off) |
    request(?:ing)? (?:the|their|his|her|a customer's|users?'?) |
    (?<!customers )(?<!users )(?<!callers )(?<!people )(?<!they )ask(?:ing)? (?:\w+ ){0,4}?for |
    verrate | nenne | zeige | teile | schicke | sende | gib | revele[rz]? | montre[rz]? | donne[rz]? | revela |
    muestra | dale?
""")
_GIVES_AWAY = spotted(
    r"""
    <give>\b(?:(?!\b(?:how to|where to|reset|chang|forgot|about|lost|without)).){0,40}?\b<inside>\b(?! ?<known>) |
    <inside>\b[^.!?]{0,30}\b(?:may|can|could|should|must|to|is|are) (?:be )?(?:freely |openly |now )?(?:shared|sent|
        revealed|disclosed|shown|printed|given|handed|told|exposed|published|repeated|read|fine|okay|ok|public) |
    (?:may|can|could|let|allow*|permit*)\b[^.!?]{0,40}\b(?:see|view|receive|obtain|access|learn|request|demand)\b
        (?:(?!\b(?:new|own|their|an?)\b)[^.!?]){0,20}\b<inside>\b(?! ?<known>) |
    (?:look up|access|open|fetch)\b[^.!?]{0,20}\b<others> |
    (?:may|can|could)\b[^.!?]{0,40}\b(?:change|edit|delete|use)\b[^.!?]{0,10}\b<others> |
    (?:darf|durfen|kann|konnen)\b[^.!?]{0,40}\b<inside>\b[^.!?]{0,30}(?:genannt|gezeigt|geteilt|verraten|geschickt) |
    <inside>\b[^.!?]{0,30}\b(?:darf|durfen|kann|konnen)\b[^.!?]{0,40}(?:genannt|gezeigt|geteilt|verraten|geschickt) |
    (?:write|put|mention|add|insert|embed|place|append|hide)\b[^.!?]{0,30}\b<inside>\b(?! ?<known>)[^.!?]{0,20}\b(?:in|
        into|to|with) |
    read (?:\w+ ){0,3}?<inside>\b[^.!?]{0,20}\b(?:out|aloud)
    """,
    give=_GIVE, inside=_INSIDE, known=_KNOWN, others=_OTHERS,
)  # fmt: skip
_GIVES_AWAY_ABROAD = re.compile(
    r"парол\w{0,2}[^.!?]{0,30}(?:показ|сообщи|раскр|отправ)|(?:показ|сообщи|раскр|отправ)[а-я]{0,6} [^.!?]{0,30}парол"
    r"|(?:密码|密碼|口令)[^。]{0,20}(?:告诉|告訴|泄露|透露|分享|发送)"
    r"|(?:告诉|告訴|泄露|透露|分享|发送)[^。]{0,20}(?:密码|密碼|口令)"
)
_HANDS_IT_OVER = re.compile(
    r"\b(?:print|show|send|reveal|share|output|repeat|display|provide|give|hand|disclose|read|skip|omit|ignore|waive)"
    r"(?: \w+)? (?:it|them|that|those|these|this)(?: (?:out|over|back|verbatim|in full|anyway|politely|at once|now|"
    r"immediately|right away|to (?:the |any )?\w+))*$"
)
_DUTY = spotted(r"""
    confirm* | verif* | authentic* | authori[sz]* | approval* | approv(?:e|ed|ing) | consent* | permission* | safety |
    safeguard* | guard ?-?rails? | rate[ -]limit* | restriction* | label (?:set|list) | labels given | workspace |
    sandbox* | privacy | confidential* | identity | double[- ]check* | human (?:review|approval|oversight) | audit* |
    logging | redact* | two[- ]factor | 2fa | mfa | escalat* | security | refus(?:e|al|ing) | warn(?:ing|ings)? |
    sign[- ]?off | (?:content|the|word) filters? | checks are | check(?:ing)? (?:who|whether|with|their) |
    bestatig* | freigabe* | genehmig* | zustimmung* | pruf* | sicherheit* | uberpruf* | identitat*
""")
_TOPIC = spotted("<inside> | delet* | destructive | eras(?:e|ing) | losch*", inside=_INSIDE)
_EXCUSE = spotted(r"""
    no (?:need|reason) | needs? no | need not | needn't | not (?:have|need)(?: \w+)? to |
    (?:don't|dont|not) (?:require|bother|insist|wait|ask) | not (?:necessary|required|needed|mandatory|important) |
    unnecessary | unneeded | redundant | optional | optionally | pointless | useless | waste of | nuisance | nothing |
    wast(?:e|es|ing) time | formality | a hint | none | no more | no (?:\w+ )?(?:confirmation|verification|approval|
        consent|permission|authentication) |
    skip* | omit* | waiv(?:e|ed|es|ing) | relax* | loosen* | weaken* | soften* | disabl* | deactivat* | lenient* |
    generous* | (?:turn|switch)(?:ed|ing)? off | off | suspend* | lift(?:ed|ing)? | remov(?:e|ed|ing) | left out |
    leave (?:\w+ )?out | get(?:ting)? rid | drop(?:ped|ping)? | avoid* | stop* | ceas(?:e|ing) | bypass* | lower |
    ignor(?:e|es|ing) | forget | overrid(?:e|es|ing) | circumvent* | reduc(?:e|ed|ing) | refrain* | minimi[sz]e |
    do away | dispense | pretend* | suppress* | exceed* | silent |
    without | never | instead of | rather than | unless | except | do not | don't | dont | must not | should not |
    you cannot | no longer (?:need to|require[sd]?|necessary|required|ask|have to) |
    (?:is|are|be|it's) (?:\w+ )?(?:fine|ok|okay|allowed|acceptable|permitted|harmless|enough|granted|implied|assumed|
        given|suggestions?|recommendations?|advisory|public) |
    (?:you|agents?|assistants?|bots?) (?:may|can|could|might) (?:delete|erase|wipe|act|proceed|go ahead) |
    assum(?:e|ed|ing) | implied | implicit* | already (?:confirmed|verified|approved|given|granted) | later |
    afterwards | rarely | seldom | hardly | less | as needed | if convenient | (?:when|where|if) possible |
    only (?:if|when|confirm|verify|ask|needed|required|necessary|on|in|at|during) | as (?:if|though) |
    as an? (?:option|suggestion) | as (?:\w+ )?(?:optional|given|public|harmless|advisory|confirmed|verified|approved|
        granted) |
    ohne | nie | niemals | nicht | kein* | uberspring* | darfst | weglass* | auslass* | verzicht* | entfall* | umgeh* |
    unnotig* | sans | jamais | pas besoin | sin | nunca | no pidas
""")
_TAKES_FOR_GRANTED = re.compile(
    r"\b(?:treat|consider|count|regard|take|accept|mark|set|pretend)\b.{1,60}\b(?:verified|confirmed|approved|"
    r"authenticated|authori[sz]ed|consent|permission|approval|confirmation|authori[sz]ation|agreement|successful|true)"
    r"(?: for \w+)?$"
)
_WIPES = spotted(
    r"(?<!never )(?<!not )(?:delete|erase|wipe|destroy) (?:\w+ )?(?:everything|all|any|every|whatever)",
)
_OTHER_LABELS = spotted(r"""
    (?:new|additional|extra|own) (?:labels?|category|categories|classes) | labels? of your (?:own|choice) |
    labels?\b.{0,60}\bnot (?:in the list|listed|on the list) | (?:any|which|what)(?:ever)? labels? you |
    (?:labels?|category|categories) (?:outside|beyond|not (?:in|on)) | outside (?:of )?the (?:list|labels?|categories)
""")
# What a lesson about messages has no reason to speak of, but to say "stay within it".
_UNTOUCHABLE = spotted(r"""
    guard ?-?rails? | safeguards? | rate[ -]limits? | workspace | label set | consent | sandbox |
    your (?:system )?prompt | system prompt | (?:your|these|hidden) instructions | these rules | this rule
""")
_STAYS = re.compile(r"(?:always )?(?:stay|keep|remain|work|respect|obey|follow|refuse|decline|ask|wait|get|check)\b")
_NEVER = phrases(
    "never | do not | don't | must not | should not | may not | cannot | under no circumstances | niemals | nie"
)
_STRICTER = Spotted(
    phrases(
        r"""
        <start><never> (?:ever )?<give>\b(?:.{0,60}\b)?<inside>\b.{0,40} |
        (?:refuse|decline) to <give>\b.{0,60}\b<inside> |
        (?:verrate|nenne|zeige|teile|schicke|sende|gib) (?:niemals|nie) (?:.{0,60}\b)?<inside>\b.{0,40} |
        <start><never> (?:ever )?(?!hesitate|refuse|wait|ask|bother|decline|worry|mind|stop|require|insist|fail|
            forget)\w+ (?:\S+ ){0,8}?(?:without|ohne) (?:\S+ ){0,6}?<duty>.{0,30} |
        <start><never> (?:ever )?(?:skip|omit|bypass|override|disable|weaken|relax|waive|circumvent|drop)\b
            (?:\S+ ){0,6}?(?:<duty>|it|them|this|that) |
        <start><never> (?:ever )?(?:invent|use|answer with|make up|add|choose) .{0,60}\blabels?\b.{0,40}
        """,
        start=r"(?:please )?(?:you |we |the (?:agent|assistant|bot) )?(?:must |should )?(?:also )?",
        never=_NEVER, give=_GIVE, inside=_INSIDE, duty=_DUTY.pattern,
    )
)  # fmt: skip
_LOOPHOLE = spotted(
    "unless | except | until | instead | only | just | simply | rather | but | if | when | politely | anyway"
)
_WORD = (
    r"(?!(?:and|then|but|also|plus|except|unless|without|no|not|never|skip|ignore|instead|rather|only|if|when|the|"
    r"their|your|any|all|und|dann|ohne|nicht)\b)[\w&/+.-]+"
)
_LABEL = rf"[\"'`]?{_WORD}(?: {_WORD}){{0,3}}[\"'`]?"
_ANSWER = (
    r"(?:then |please |always ){0,2}(?:the (?:right |correct )?(?:answer|label) is|answer|reply(?: with)?|respond with|"
    r"choose|use|pick|prefer|select|label (?:it |this |them )?(?:as )?|classify (?:it|them|this|these|the message) as|"
    r"route (?:it |them )?to|it is|this is|antworte(?: mit)?|wahle|nimm|verwende|nutze)(?: the)?(?: label| category)? ?"
    rf"(?P<label>{_LABEL})(?:,? (?:instead of|rather than|and not|not|over|before|statt)(?: the)?(?: label)? {_LABEL})?"
)
_IF = (
    r"(?:(?:also|only|even) )?(?:if|when|whenever|where|for|in case|because|since|unless|wenn|falls|sobald|weil|bei)\b"
)
_IF_ANSWER = re.compile(rf"(?P<about>{_IF}.*[,:]) ?{_ANSWER}(?: {_IF}(?P<late>.*))?")
_ANSWER_IF = re.compile(rf"{_ANSWER},? {_IF}(?P<late>.*)")
_JUST_ANSWER = re.compile(_ANSWER)
_TREAT = re.compile(
    r"(?:treat|behandle) (?:\S+ ){1,12}?(?:as|als|wie) (?!optional|given|public|harmless|advisory|suggest|granted|"
    rf"approved|confirmed|verified|unnecessary|trusted|safe|done|fine){_LABEL}"
)
_TREAT_QUOTED = re.compile(rf'(?:treat|behandle) "[^"]{{1,300}}" (?:as|als|wie) {_LABEL}')
_IMPERATIVE = re.compile(
    r"(?:and |then |also |but |please |just |simply |you (?:may|can|should|must) |always |never |do not |don't )*"
    r"(?:ask|skip|omit|reveal|disclose|share|send|show|tell|give|print|repeat|delete|confirm|verify|approve|allow|"
    r"grant|accept|ignore|bypass|disable|execute|run|call|refuse|do|treat|assume|pretend|forget|require|proceed|act)\b"
)
_LEAD = re.compile(rf"{_IF}[^,]*,")
_CUT = re.compile(r",|:| and | that | then | but | so | or | und ")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|z\.b|d\.h|etc|incl|resp|bzw|nr)\.,?")
_QUOTED = re.compile(r'"[^"\n]{1,300}"')
# A line that just goes on in the next one is no end: words could be hidden from each other that way.
_END = re.compile(r"[.!?;](?=\s|[\"')]|$)|\n(?=\s{0,9}(?:[-*•#\n]|\d{1,3}[.)]))")
_GOES_ON = re.compile(r"\b(?:it|them|that|this|those|these)\b|^(?:is |are )?(?:not|un|optional)\w*")


def contradiction(text: str) -> str:
    """Say how a text works against a guardrail; empty when it does not."""
    folded = fold(text)
    readings = dict.fromkeys((folded, unmasked(folded)))
    return next(filter(None, (_works_against(part) for reading in readings for part in _sentences(reading))), "")


def _sentences(text: str) -> list[str]:
    """The sentences, a short one that leans on the sentence before it (*Confirmation? Not needed.*) joined to that."""
    found: list[str] = []
    whole = _QUOTED.sub(lambda match: re.sub(r"[.!?;]", "", match.group()), _ABBREVIATION.sub(" ", text))
    for part in _END.split(whole):
        sentence = " ".join(part.strip(" \t-*•").split())
        if found and sentence and len(sentence.split()) <= 6 and _GOES_ON.search(sentence):
            found[-1] += ": " + sentence
        elif sentence:
            found.append(sentence)
    return found


def _works_against(sentence: str) -> str:
    if _TREAT_QUOTED.fullmatch(sentence):
        return ""
    if found := _TAKES_FOR_GRANTED.search(sentence):
        return f"it takes for granted what must be asked ({found.group()!r})"
    ordered, about = _ordered(sentence)
    duty = _DUTY.search(f"{about} {ordered}")
    if _HANDS_IT_OVER.search(ordered) and (named := duty or _TOPIC.search(f"{about} {ordered}")):
        return f"it gives away or drops what must stay ({named.group()!r})"
    for pattern, fault in _FAULTS:
        if found := pattern.search(ordered):
            return f"{fault} ({found.group()!r})"
    if (found := _UNTOUCHABLE.search(ordered)) and not _STAYS.match(ordered):
        return f"it speaks about what is not its business ({found.group()!r})"
    excuse, guarded = _EXCUSE.search(ordered), duty or _TOPIC.search(ordered)
    if excuse and guarded:
        return f"it weakens a guardrail ({excuse.group()!r} beside {guarded.group()!r})"
    return ""


_FAULTS: tuple[tuple[re.Pattern[str] | Spotted, str], ...] = (
    (_GIVES_AWAY, "it asks to give away what must stay inside"),
    (_GIVES_AWAY_ABROAD, "it asks to give away what must stay inside"),
    (_WIPES, "it destroys without asking"),
    (_OTHER_LABELS, "it leaves the label set"),
)


def _ordered(sentence: str) -> tuple[str, str]:
    """Split a sentence into what it orders and what it only speaks about."""
    if match := _IF_ANSWER.fullmatch(sentence):
        terms = match["about"].rstrip(",:").split(",")[1:]
        return ", ".join([match["label"], *_orders([*terms, *_late(match)])]), ""
    if match := _ANSWER_IF.fullmatch(sentence):
        return ", ".join([match["label"], *_orders(_late(match))]), ""
    if match := _JUST_ANSWER.fullmatch(sentence):
        return match["label"], ""
    if _TREAT.fullmatch(sentence):
        return "", ""
    lead = _LEAD.match(sentence)
    about, order = (lead.group(), sentence[lead.end() :].strip()) if lead else ("", sentence)
    return _without_stricter(order), about


def _late(match: re.Match[str]) -> list[str]:
    return _CUT.split(match["late"] or "")[1:]


def _orders(parts: list[str]) -> list[str]:
    """Of the parts of a condition, those that are no mere terms: they start like an order and go on."""
    bare = [part.strip() for part in parts]
    return [part for part in bare if len(part.split()) > 2 and part[0] not in "\"'`" and _IMPERATIVE.match(part)]


def _without_stricter(order: str) -> str:
    if _LOOPHOLE.search(order):
        return order
    return ", ".join(atom for atom in map(str.strip, _CUT.split(order)) if not _STRICTER.fullmatch(atom))
