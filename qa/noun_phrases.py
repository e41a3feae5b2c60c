"""What a sentence names, by rules: its noun phrases, found in a fraction of a millisecond without a parser or a model. English only."""

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from footage.colours import names_in
from qa.parse import stem

_DETERMINERS = frozenset("the a an this that these those some any another each every his her its their my your our both all".split())
_PRONOUNS = frozenset(
    """it he she they him them i you we me us one ones that this these those his her its their there somebody someone anybody anyone
    something anything nothing nobody everybody everyone everything himself herself itself themselves each both all""".split()
)
_PREPOSITIONS = frozenset(
    """of in on at with next to beside behind near under over above below between from into onto inside outside through along across
    around by for about against towards toward during within without""".split()
)
_BOUNDARIES = frozenset(
    """and or but then while when before after until as than if because so not no again once twice ever never often still also too
    already now here soon later earlier together else only just very really ago away up down out off exactly actually usually what which
    who whom whose where why how many much time times""".split()
)
_DO = frozenset("do does did can could will would shall should may might must to".split())
_AUXILIARIES = _DO | frozenset("is are was were be been being am has have had isn't aren't wasn't weren't doesn't don't didn't".split())
_VERBS = """say show appear happen go come move run walk stand sit lie fall read write open close start begin end stop leave enter arrive
speak talk tell mention ask answer look see hear wear hold carry take put give get make draw paint drive ride fly swim jump climb throw
catch kick hit push pull turn rise set shine change become grow shrink cross pass follow lead play sing dance laugh smile cry eat drink
cook cut break build fix clean wash pour mix add remove pick drop lift press click type scroll install load finish report visit use work
wait stay keep bark meow bite chase hide find lose win score shoot point wave meet hug kiss fight rain snow burn smoke explode crash park
stop reach return live sleep wake blink flash ring sound announce explain present describe teach learn count measure buy sell pay bring
send receive call greet help serve""".split()
_STEMS = frozenset(map(stem, _VERBS))
_PAST = frozenset(
    """said went came ran stood sat lay lain fell read wrote written opened began begun left spoke spoken told saw seen heard wore worn
    held took taken put gave given got gotten made drew drawn drove driven rode flew flown swam threw thrown caught hit rose shone became
    grew grown led sang ate eaten drank cut broke broken built found lost won shot met fought burnt slept woke rang taught bought sold
    paid brought sent shown gone done hid hidden""".split()
)
_NOT_VERBS = frozenset(
    """building painting ceiling morning evening string wedding clothing bed shed sled seed weed speed feed king ring wing thing red
    bread thread hundred drawing meeting recording warning heading parking""".split()
)
_NO_NAMES = frozenset(  # heads of phrases that say where or how to look, and are not what is looked for
    """time moment point end beginning start middle video film footage clip recording scene picture image frame screen part kind sort
    type way direction number lot colour color size shape name first last second third most rest thing things same other minute minutes
    hour hours question answer visible open closed shown left right top bottom speed whole dark light one ones""".split()
)
_JOINED_BY = frozenset("of in on at with next to beside behind near under over above below from inside by for".split())
_ATTRIBUTES = frozenset("colour color time kind sort type size shape way direction part number".split())
_PERSONS = frozenset(
    """man men woman women boy boys girl girls child children kid kids person persons people lady ladies guy guys gentleman speaker
    presenter teacher student player driver chef cook waiter waitress actor actress host guest doctor nurse officer policeman worker
    customer visitor runner cyclist pedestrian singer dancer reporter narrator lecturer mother father brother sister friend baby crowd
    family couple team king queen tramp worker workers players students cook cooks""".split()
)
_SHE_ONLY = frozenset("woman women girl girls lady ladies actress mother sister queen waitress".split())
_HE_ONLY = frozenset("man men boy boys guy guys gentleman father brother king policeman waiter".split())
_MANY = frozenset("people men women children".split())
_TOKEN = re.compile(r"[\"“”«»][^\"“”«»]{2,}[\"“”«»]|[^\W_]+(?:[._'’-][^\W_]+)*|[^\w\s]")


@dataclass(frozen=True)
class Phrase:
    """A noun phrase and its place in a text."""

    words: tuple[str, ...]
    """Without the determiner; the last one is the head."""
    start: int
    """Where it begins in the text, with its determiner."""
    end: int
    article: str = ""
    """Its determiner in small letters: "the", "a", "his" ..."""
    is_name: bool = False
    """A name or a quotation, which takes no article."""
    tail: str = ""
    """What it is further described by: "next to the green moon"."""

    @cached_property
    def head(self) -> str:
        return self.words[-1].lower()

    @property
    def definite(self) -> str:
        """As it is called when it was named before: "the red car next to the barn"."""
        core = " ".join(self.words)
        return f"{core if self.is_name else f'the {core}'} {self.tail}".rstrip()

    @property
    def is_person(self) -> bool:
        return self.head in _PERSONS or (self.is_name and self.words[0][:1].isupper())

    @property
    def is_plural(self) -> bool:
        return self.head in _MANY or (self.head.endswith("s") and not self.head.endswith("ss") and not self.is_name)

    @property
    def is_thing(self) -> bool:
        """It is what is looked for, and not a word about time, place or film."""
        return not all(word.lower() in _NO_NAMES or names_in(word) for word in self.words)

    def fits(self, pronoun: str) -> bool:
        """It may be what a pronoun stands for; they and them stand for anybody too."""
        if pronoun in ("he", "him", "his", "himself"):
            return self.is_person and self.head not in _SHE_ONLY
        if pronoun in ("she", "her", "hers", "herself"):
            return self.is_person and self.head not in _HE_ONLY
        if pronoun in ("they", "them", "their", "theirs"):
            return self.is_person or self.is_plural
        return pronoun not in ("it", "its", "itself") or not (self.is_person or self.is_plural) or self.is_name


@dataclass(frozen=True, slots=True)
class _Token:
    word: str
    start: int
    end: int

    @property
    def low(self) -> str:
        return self.word.lower()

    @property
    def is_quoted(self) -> bool:
        return len(self.word) > 1 and not self.word[0].isalnum()


def phrases(text: str) -> list[Phrase]:
    """Noun phrases in order, each with the one that describes it joined ("the sign next to the moon"); pronouns are none."""
    tokens = [_Token(m.group(), m.start(), m.end()) for m in _TOKEN.finditer(text)]
    found, at, bare_verbs = list[Phrase](), 0, False
    while at < len(tokens):
        stop, phrase = _phrase(tokens, at, bare_verbs=bare_verbs)
        bare_verbs = (bare_verbs or tokens[at].low in _DO) and not (stop == at and _is_verb(tokens[at].low, bare=True))
        found += [phrase] if phrase else []
        at = max(stop, at + 1)
    return _joined(found, text)


def _phrase(tokens: list[_Token], at: int, *, bare_verbs: bool) -> tuple[int, Phrase | None]:
    """(where it stops, the phrase that begins at a token)"""
    first = tokens[at]
    if first.is_quoted:
        return at + 1, Phrase((first.word,), first.start, first.end, is_name=True)
    begin = at + (first.low in _DETERMINERS)
    has_article, stop = begin > at, begin
    while stop < len(tokens) and _is_content(tokens, stop, bare_verbs=bare_verbs, is_first=has_article and stop == begin):
        stop += 1
    words = tuple(token.word for token in tokens[begin:stop])
    is_name = not has_article and at > 0 and bool(words) and all(word[0].isupper() for word in words)
    if not words or not (has_article or is_name or _may_stand_bare(tokens, at)):
        return stop, None
    return stop, Phrase(words, first.start, tokens[stop - 1].end, first.low if has_article else "", is_name)


def _is_content(tokens: list[_Token], at: int, *, bare_verbs: bool, is_first: bool) -> bool:
    low, rest = tokens[at].low, tokens[at + 1 :]
    if not low[0].isalnum() or low in _AUXILIARIES or low in _PREPOSITIONS or low in _BOUNDARIES:
        return False
    if low in _DETERMINERS or low in _PRONOUNS:
        return low in ("one", "ones")
    is_subject = low.endswith("s") and bool(rest) and rest[0].low in _AUXILIARIES  # "crosses are", where no verb stands
    return is_first or is_subject or not _is_verb(low, bare=bare_verbs)


def _is_verb(low: str, *, bare: bool) -> bool:
    if low in _NOT_VERBS or names_in(low):
        return False
    if low in _PAST or (len(low) > 4 and low.endswith(("ing", "ed"))):
        return True
    return stem(low) in _STEMS and (bare or low.endswith("s"))


def _may_stand_bare(tokens: list[_Token], at: int) -> bool:
    """Without a determiner: after how many, which, what, there, an auxiliary, a preposition or a verb."""
    if at == 0 or tokens[at].low in _ATTRIBUTES:
        return False
    before = tokens[at - 1].low
    return before in _AUXILIARIES | _PREPOSITIONS | {"many", "which", "what", "whose", "there"} or _is_verb(before, bare=True)


def _joined(found: list[Phrase], text: str) -> list[Phrase]:
    """Each with the phrases that follow behind prepositions alone as its tail; those stay phrases too."""
    tails = dict[int, str]()
    for n, (one, other) in reversed(list(enumerate(pairwise(found)))):
        between = text[one.end : other.start].lower().split()
        if between and _JOINED_BY.issuperset(between) and other.head not in _NO_NAMES:
            tails[n] = f"{' '.join(between)} {text[other.start : other.end]} {tails.get(n + 1, '')}".rstrip()
    return [Phrase(p.words, p.start, p.end, p.article, p.is_name, tails.get(n, "")) for n, p in enumerate(found)]
