"""A summary as people read it, as markdown, and as JSON."""

from typing import TYPE_CHECKING, Any

from footage.recordings import Gap
from footage.timespan import TimeSpan, clock_words
from qa.answerers.moments import SEEN_AS
from qa.summary import Part, Quote, Section, Summary, Told
from workers.chat_text import plain
from workers.summary import KINDS

if TYPE_CHECKING:
    from workers.engine import Library

GAPS = 5  # that are listed one by one


def written(summary: Summary, name: str, *, marked: bool = False) -> str:
    """Lines of text; marked: as markdown. Every line begins with its own time, and what is quoted has the time of its scene behind it."""
    head, section_head = ("# ", "## ") if marked else ("", "")
    seen = f"{_count(summary.scenes, 'scene')} in {_count(len(summary.sections), 'section')}"
    by = f"In the words of {summary.model}, which may be wrong; quotes are not its own." if summary.model else "Quotes; no model was asked."
    blocks = [f"{head}{_when(summary.span)}  {name}: {seen}", *_words(summary.told), by]
    for section in summary.sections:
        blocks += [f"{section_head}{_when(section.span)}  {title(section)}", *_words(section.told)]
        lines = [_part(part) for part in section.parts if not _is_title(part, section)] + _gaps(section.gaps)
        blocks += ["\n".join(("- " if marked else "  ") + line for line in lines)] if lines else []
    return plain("\n\n".join(blocks)) + "\n"


def title(section: Section) -> str:
    """The words that are read or said there more than elsewhere, else what its longest part looks like."""
    if section.words:
        return ", ".join(section.words)
    if not section.parts:
        return "nothing could be seen"
    longest = max(section.parts, key=lambda part: part.span.duration_s)
    return next((quote.text for quote in longest.quotes), "no text")


def _is_title(part: Part, section: Section) -> bool:
    """All that it says was said above it."""
    return [(quote.span, quote.text) for quote in part.quotes] == [(section.span, title(section))]


def _part(part: Part) -> str:
    quotes = "; ".join(_quote(quote, part) for quote in part.quotes)
    return f"{_when(part.span)}  {quotes}" + (f" ({part.scenes} scenes)" if part.scenes > 1 else "")


def _quote(quote: Quote, part: Part) -> str:
    where = [_when(quote.span)] if quote.span != part.span else []
    where += [SEEN_AS[KINDS[quote.source]]] if quote.source in KINDS else []
    return f"{quote.text} [{', '.join(where)}]" if where else quote.text


def _words(told: Told | None) -> list[str]:
    if told is None or not told.text:
        return []
    return [told.text + (f" [{', '.join(map(_when, told.spans))}]" if told.spans else "")]


def _gaps(gaps: tuple[Gap, ...]) -> list[str]:
    lines = [f"{_when(gap.span)}  nothing could be seen: {gap.reason}" for gap in gaps[:GAPS]]
    rest = gaps[GAPS:]
    if rest:
        seconds = sum(gap.span.duration_s for gap in rest)
        lines.append(f"{_when(rest[0].span.hull(rest[-1].span))}  nothing could be seen {len(rest)} more times, {seconds:.0f} s together")
    return lines


def _when(span: TimeSpan) -> str:
    return f"{clock_words(span.start_s)}-{clock_words(span.end_s)}"


def _count(count: int, thing: str) -> str:
    return f"{count} {thing}" + ("" if count == 1 else "s")


def summary_json(summary: Summary, library: "Library") -> dict[str, Any]:
    """`footage summary --json`.

    start_s, end_s: seconds, of the whole, of sections, of parts and of what they quote; scenes: how many it was drawn from; told: a
    model's words with the moments that they point at, or null; model: whose, or ""; words: read or said there more than elsewhere;
    quotes: captions of scenes, source as in `footage timeline --json`; gaps: time in which nothing could be seen.
    """
    return {
        "recording": summary.recording_id, "name": library.name_of(summary.recording_id), **_times(summary.span), "scenes": summary.scenes,
        "model": summary.model, "told": _told_json(summary.told),
        "sections": [
            {
                **_times(section.span), "title": title(section), "scenes": section.scenes, "words": list(section.words),
                "told": _told_json(section.told),
                "parts": [
                    {**_times(part.span), "scenes": part.scenes,
                     "quotes": [{**_times(quote.span), "text": quote.text, "source": quote.source} for quote in part.quotes]}
                    for part in section.parts
                ],
                "gaps": [{**_times(gap.span), "reason": gap.reason} for gap in section.gaps],
            }
            for section in summary.sections
        ],
    }  # fmt: skip


def _told_json(told: Told | None) -> dict[str, Any] | None:
    return {"text": told.text, "moments": [_times(span) for span in told.spans]} if told and told.text else None


def _times(span: TimeSpan) -> dict[str, float]:
    return {"start_s": span.start_s, "end_s": span.end_s}
