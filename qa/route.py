"""Which way a question goes, told by rules in well under a millisecond: to the last seconds, to the whole, or to what matches its words.

English only. Where a question does not clearly ask about now or about all of it, it goes to what matches.
"""

import re

from qa.parse import IS_IT, Asked, parse

NOW, LOCAL, OVERALL = "now", "local", "overall"
ROUTES = (NOW, LOCAL, OVERALL)
_QUOTED = re.compile(r"[\"“”«»][^\"“”«»]*[\"“”«»]")
_END = r"(?=\s*(?:[?.!,;:]|$))"
_VIDEO = r"(?:(?:whole|entire|full|complete)\s+)?(?:video|film|movie|clip|recording|footage|stream|episode|talk|lecture|presentation|story)"
_IT = rf"(?:it|this|that|(?:this|the|that)\s+{_VIDEO}|everything)"
_OF_IT = rf"(?:\s+(?:of|in|behind)\s+{_IT}(?:\s+all)?)?(?:\s+about)?"
_GIST = (
    r"(?:topic|theme|subject|plot|gist|story(?:line)?|synopsis|genre|mood|tone|message|purpose|point|idea|setting|outline|overview|summary)"
)

_NOW = re.compile(
    "|".join([
        r"(?<!\buntil\s)(?<!\bbefore\s)(?<!\bto\s)(?<!\bafter\s)\b[Rr]ight\s+now\b",
        r"\b[Cc]urrently\b", r"\b[Pp]resently\b", r"\b[Aa]t\s+present\b", r"\b[Aa]s\s+of\s+now\b", r"\b[Aa]s\s+we\s+speak\b",
        rf"\b[Aa]t\s+(?:the|this)\s+(?:very\s+|present\s+|current\s+)?(?:moment|instant){_END}", rf"\b[Jj]ust\s+now{_END}",
        r"\b[Ww]hat(?:\s+has|'s)?\s+just\s+happened\b", rf"\b[Dd]o(?:es)?\s[^?]*\b(?:say|read|show)\s+now{_END}",
        r"\b[Tt]he\s+current\s+(?:slide|scene|shot|score|speaker|frame|view|state|status|situation|page|screen|picture|step)\b",
        rf"\b(?:[Ii]n|[Dd]uring|[Oo]ver)\s+the\s+(?:last|past)\s+(?:few\s+|couple\s+of\s+|\d\d?\s+)?seconds?{_END}",
    ])
)  # fmt: skip
_NOT_AFTER = (
    *"by before until till to from than since after every then right just say says said word reads called titled".split(), "then and",
)  # fmt: skip
_PLAIN_NOW = re.compile(  # "now" that is about now: "where is it now?", not "by now", "now and then", "says now", nor a title's "Now"
    "".join(rf"(?<!\b(?i:{word}) )" for word in _NOT_AFTER) + r"(?:\bnow\b|^Now\b,?(?!\s+[A-Z]))(?!-|\s+(?:and\s+(?:then|again)|that)\b)"
)
_OVERALL = re.compile(
    "|".join([
        rf"^\W*(?:(?:please|can you|could you|and|now)\s+)*(?:summari[sz]e|sum\s+up|recap|describe|outline){_END}",
        rf"\b(?:summari[sz]e|sum\s+up|recap|describe|outline|summary\s+of|overview\s+of|synopsis\s+of|gist\s+of)\s+{_IT}(?:\s+(?:up|for\s+me|briefly|in\s+\w+\s+\w+))*{_END}",
        rf"\b(?:give|write|make)\s+(?:me\s+|us\s+)?(?:a|an|the)\s+(?:\w+\s+)?(?:summary|overview|synopsis|outline|recap|gist){_OF_IT}{_END}",
        rf"\btell\s+(?:me|us)\s+about\s+{_IT}{_END}",
        rf"\bwhat(?:'s|\s+is|\s+was|\s+are)\s+{_IT}(?:\s+(?:all|mainly|mostly|generally|basically|really|actually))?\s+about{_END}",
        rf"\bwhat\s+does\s+{_IT}\s+(?:show|cover|deal\s+with|contain){_END}",
        rf"\bwhat\s+(?:(?:has\s+)?happen(?:s|ed)|goes\s+on|went\s+on|takes\s+place|is\s+(?:happening|going\s+on|shown|seen)|can\s+be\s+seen"
        rf"|do\s+(?:you|we)\s+see)"
        rf"\s+(?:in\s+(?:this|the|that)\s+{_VIDEO}|(?:in\s+)?(?:it\s+)?(?:overall|in\s+general|generally|on\s+the\s+whole|all\s+in\s+all|so\s+far)){_END}",
        r"^\W*(?:overall|in\s+general|generally|on\s+the\s+whole|all\s+in\s+all),?\s+(?:what|how|who|which|describe|is|are|does|do)\b",
        rf"(?<!\babout\s)\bwhat\s+(?:kind|sort|type|genre)\s+of\s+{_VIDEO}\s+is\s+(?:this|it|that){_END}",
        rf"\bhow\s+(?:does|did|do|will)\s+{_IT}\s+(?:all\s+)?(?:end|begin|start|finish|conclude|open|close|develop|progress|unfold){_END}",
        rf"\bwhat(?:'s|\s+is|\s+was|\s+are|\s+were)\s+(?:the\s+)?(?:main|overall|central|general|key|most\s+important)"
        rf"\s+(?:{_GIST}s?|events?|ideas?|points?|topics?|takeaways?|impression|content){_OF_IT}{_END}",
        rf"\bwhat(?:'s|\s+is|\s+was)\s+the\s+{_GIST}\s+(?:of|in|behind)\s+{_IT}{_END}",
        rf"\b(?:throughout|across|over\s+the\s+course\s+of)\s+{_IT}{_END}",
        rf"\bfrom\s+(?:the\s+)?(?:beginning|start)\s+to\s+(?:the\s+)?(?:end|finish){_END}",
    ]),
    re.I,
)  # fmt: skip


def route_of(text: str, asked: Asked | None = None) -> str:
    """One of ROUTES. asked: the same text as `parse` read it, where that is there already.

    What names a time, a colour or an order, asks when or how often, or quotes something, is about what matches: those moments have to be
    found wherever they are.
    """
    asked = asked or parse(text)
    plain = _QUOTED.sub(" ", text.capitalize() if text.isupper() else text)
    if asked.at_s is not None or asked.sought or asked.how_often or asked.wants_time:
        return LOCAL
    if _NOW.search(plain) or _PLAIN_NOW.search(plain.strip()):
        return NOW
    is_found = asked.phrases or asked.colours or asked.how_many or asked.which_way or asked.beside or asked.order is not None
    return OVERALL if not is_found and _OVERALL.search(plain) else LOCAL


def is_open(text: str, asked: Asked) -> bool:
    """What is asked for is there, whatever it is: "what is the man doing?", not "is there a red car?"."""
    return not (asked.colours or asked.phrases or IS_IT.match(text))
