"""Words to wordings: which of the kept texts hold what a user typed, and how much of it (on the tables of schema.py).

Relevance is the share of the query's inverse document frequency that a text covers: 1.0 when it holds every word, 0.5
when it holds half of what was asked. The idf is that of BM25 (Robertson and Zaragoza, The Probabilistic Relevance
Framework, 2009), over distinct texts; BM25 itself only breaks ties, as its scale depends on the library.
"""

import json
import math
import re
import sqlite3
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

from footage.recordings import TextRow
from memory.schema import MIGRATIONS

JOIN_SLACK_S = 1.01  # a line is cut at a segment's edge, or missed in one sample at 1 fps
PART_SHARE = 0.75  # found only inside other words: says less than the word itself
MAX_WORDS = 64  # of one query; more is a pasted page
# fmt: off
STOP_WORDS = frozenset({
    "a", "an", "and", "are", "as", "at", "be", "been", "by", "did", "do", "does", "for", "from", "had", "has", "have",
    "he", "her", "his", "how", "i", "if", "in", "into", "is", "it", "its", "me", "my", "not", "of", "on", "or", "our",
    "she", "so", "that", "the", "their", "them", "then", "there", "these", "they", "this", "to", "us", "was", "we",
    "were", "what", "when", "where", "which", "while", "who", "whom", "whose", "why", "will", "with", "you", "your",
})
# fmt: on
_UNSPACED = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"  # kana, Han, Hangul

Found: TypeAlias = dict[str, tuple[float, float]]
"""By squeezed text: relevance in 0..1, and BM25 (larger is better)."""


def squeeze(text: str) -> str:
    """Case and spaces aside: equal for two readings of the same line."""
    return "".join(text.casefold().split())


def fold(text: str) -> str:
    """Letters and digits alone, without case and accents: what parts of words are looked up in."""
    return "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if c.isalnum())


def query_words(query: str) -> tuple[str, ...]:
    """What a user typed, as pieces to look up, once each; function words only when there is nothing else.

    A piece keeps its inner punctuation (10:30, a file name); unspaced scripts are cut into pairs of characters.
    """
    pieces: dict[str, str] = {}
    for chunk in re.split(r"[\s/;|]+|,(?!\d)", query.encode("utf-8", "replace").decode()):
        for run in re.findall(f"[{_UNSPACED}]+|[^{_UNSPACED}]+", chunk):
            pairs = [run[i : i + 2] for i in range(len(run) - 1)] if _is_unspaced(run) else []
            pieces |= {fold(piece): piece for piece in pairs or [run]}
    pieces.pop("", None)
    telling = [piece for folded, piece in pieces.items() if folded not in STOP_WORDS]
    return tuple(telling or pieces.values())[:MAX_WORDS]


def _is_unspaced(word: str) -> bool:
    return re.match(f"[{_UNSPACED}]", word) is not None


def relevance(connection: sqlite3.Connection, query: str) -> Found:
    """Every squeezed text that holds a word of the query."""
    total = connection.execute("SELECT count(*) FROM wordings").fetchone()[0]
    share: defaultdict[int, float] = defaultdict(float)
    bm25: defaultdict[int, float] = defaultdict(float)
    asked = 0.0
    for word in query_words(query):
        part_share, hits = _holding(connection, word)
        idf = math.log(1 + (total - len(hits) + 0.5) / (len(hits) + 0.5))
        asked += idf
        for wording_id, score in hits:
            share[wording_id] += idf * part_share
            bm25[wording_id] += score
    found: Found = {}
    for wording_id, squeezed in _squeezed(connection, share):
        best = (min(1.0, share[wording_id] / asked), bm25[wording_id])
        found[squeezed] = max(best, found.get(squeezed, best))
    return found


def _holding(connection: sqlite3.Connection, word: str) -> tuple[float, list[tuple[int, float]]]:
    """How much a hit counts, and (wording, BM25) of the hits; inside other words only where no text has it whole."""
    whole = "SELECT rowid, -bm25(words) FROM words WHERE words MATCH ?"
    if hits := connection.execute(whole, (_quoted(word),)).fetchall():
        return 1.0, hits
    part, part_share = fold(word), 1.0 if _is_unspaced(word) else PART_SHARE
    if len(part) >= 3:
        inside = "SELECT rowid, -bm25(parts) FROM parts WHERE parts MATCH ?"
        return part_share, connection.execute(inside, (_quoted(part),)).fetchall()
    if _is_unspaced(word):  # too short for trigrams, and too telling to be given up
        inside = "SELECT wording_id, 0.0 FROM wordings WHERE instr(folded, ?)"
        return part_share, connection.execute(inside, (part,)).fetchall()
    return part_share, []


def _quoted(word: str) -> str:
    """A string of FTS5: nothing in it is syntax."""
    return '"' + word.replace('"', '""').replace("\0", " ") + '"'


def _squeezed(connection: sqlite3.Connection, wording_ids: Iterable[int]) -> list[tuple[int, str]]:
    query = "SELECT wording_id, squeezed FROM wordings WHERE wording_id IN (SELECT value FROM json_each(?))"
    return connection.execute(query, (json.dumps(list(wording_ids)),)).fetchall()


def wordings_in_ram(texts: Iterable[str]) -> sqlite3.Connection:
    """The tables of schema.py with nothing but these texts, to ask `relevance` of."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.create_function("fold", 1, fold, deterministic=True)
    connection.executescript("".join(MIGRATIONS))
    rows = ((text, squeeze(text), fold(text)) for text in sorted(texts))
    connection.execute("BEGIN")  # FTS5 writes its index at every commit
    connection.executemany("INSERT INTO wordings (text, squeezed, folded) VALUES (?, ?, ?)", rows)
    connection.execute("COMMIT")
    return connection


def join_rows(rows: Iterable[TextRow]) -> list[TextRow]:
    """Rows in time order (per recording) with equal text of one kind joined where it goes on, by first moment.

    The joined row has the best score of its parts and the place and colours of its first.
    """
    joined: list[TextRow] = []
    last: dict[tuple[str, str, str], int] = {}
    for row in rows:
        key = row.recording_id, row.kind, squeeze(row.text)
        at = last.get(key)
        if at is not None and row.span.start_s <= joined[at].span.end_s + JOIN_SLACK_S:
            before = joined[at]
            joined[at] = replace(before, span=before.span.hull(row.span), score=max(before.score, row.score))
        else:
            last[key] = len(joined)
            joined.append(row)
    return joined


def matching(rows: Sequence[TextRow], found: Found | None) -> list[TextRow]:
    """Those that were found, best first; all as they are, where nothing was looked for."""
    return list(rows) if found is None else [row for _, row in ranked([row for row in rows if squeeze(row.text) in found], found)]


def ranked(rows: Sequence[TextRow], found: Found) -> list[tuple[float, TextRow]]:
    """Joined rows with their relevance, best first; ties by BM25 and then in the order given."""
    scored = [(found[squeeze(row.text)], row) for row in rows]
    scored.sort(key=lambda pair: pair[0], reverse=True)  # stable
    return [(score, row) for (score, _), row in scored]
