"""What a chat says beside the answers themselves: where they point, why it was read there, and the whole conversation as markdown."""

from collections import Counter
from collections.abc import Callable, Sequence

from footage.questions import Answer, Moment
from footage.timespan import TimeSpan, clock, clock_words
from qa.answerers.moments import SEEN_AS
from qa.follow_up import LATEST_S, marks
from qa.parse import parse
from workers.conversation import Exchange

PICKS = 8  # lines of a plan
Naming = Callable[[str], str]


def plain(text: str) -> str:
    """Without signs that steer a terminal: text of footage and of models may hold any."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def numbered(answer: Answer) -> dict[int, Moment]:
    """Citations by the numbers that the answer's text gives them, in its order."""
    return dict(zip(marks(answer.text, len(answer.citations)), answer.citations, strict=False))


def lists_itself(answer: Answer) -> bool:
    """Its text is already a list of moments."""
    return all(line.startswith("[") for line in answer.text.splitlines())


def citation_line(number: int, moment: Moment, name: Naming) -> str:
    """[2] 00:12:47.000-00:12:57.250 of talk.mp4: on screen "EXIT 12"."""
    seen = f': {SEEN_AS.get(moment.kind, moment.kind)} "{moment.text}"' if moment.text else ""
    doubt = "" if moment.supported else " (not borne out by what is there)"
    return plain(f"[{number}] {moment.span} of {name(moment.recording_id)}{seen}{doubt}")


def between(span: TimeSpan | None) -> str:
    """Where it is looked, in words."""
    if span is None:
        return "all of it"
    return f"from {clock_words(span.start_s)} on" if span.end_s >= LATEST_S else f"{clock_words(span.start_s)}-{clock_words(span.end_s)}"


def why(exchange: Exchange, name: Naming) -> list[str]:
    """The plan of an answer in words: what was looked for, what was chosen to be read and why, what it took."""
    answer, plan = exchange.answer, exchange.answer.plan
    lines = [exchange.meant.note] if exchange.meant.note else []
    lines.append(f"looked for: {_looked_for(exchange.meant.text)}; where: {between(exchange.meant.span)}")
    reasons = Counter(pick.why for pick in plan.picks)
    chosen = ", ".join(f"{count} as {reason}" for reason, count in reasons.most_common()) or "none"
    lines.append(f"read: {len(plan.picks)} frames chosen by {plan.selector} ({chosen}), {plan.tokens} visual tokens")
    best = sorted(plan.picks, key=lambda pick: (-round(pick.score, 5), pick.row))[:PICKS]
    lines += [f"  {pick.span} of {name(pick.recording_id)}: {pick.why}, score {pick.score:.2f}, {pick.tokens} tokens" for pick in best]
    if len(plan.picks) > len(best):
        lines.append(f"  and {len(plan.picks) - len(best)} more")
    lines += [f"not seen: {gap.span} of {name(of)} ({gap.reason})" for of, gap in answer.gaps[:PICKS]]
    seconds = ", ".join(f"{stage} {took:.2f} s" for stage, took in answer.seconds.items())
    return [*lines, f"answered by: {answer.model}; {seconds}"]


def _looked_for(text: str) -> str:
    """A question as it was taken apart, in words."""
    asked = parse(text)
    wanted = {
        "a text": asked.wants_text, "a time": asked.wants_time, "how often": asked.how_often, "how many": asked.how_many,
        "a direction": asked.which_way, f"what comes {asked.beside}": bool(asked.beside),
    }  # fmt: skip
    told = [f"words {', '.join(asked.words)}"] if asked.words else []
    told += [f"colours {', '.join(asked.colours)}"] if asked.colours else []
    told += [f"the moment {clock(asked.at_s)}"] if asked.at_s is not None else []
    told += [f"the answer is {', '.join(name for name, is_wanted in wanted.items() if is_wanted)}"] if any(wanted.values()) else []
    return "; ".join(told) or "nothing that can be looked for"


def markdown(exchanges: Sequence[Exchange], name: Naming) -> str:
    """A conversation as a document: each question, how it was understood, its answer, and where that points."""
    parts = ["# Conversation"]
    for exchange in exchanges:
        answer = exchange.answer
        parts += [f"## {plain(exchange.asked)}", *([f"*{exchange.meant.note}*"] if exchange.meant.note else [])]
        parts.append(plain(answer.text).replace("\n", "  \n"))
        if not lists_itself(answer) and answer.citations:
            parts.append("\n".join(f"- {citation_line(n, moment, name)}" for n, moment in numbered(answer).items()))
        parts += [f"> warning: {warning}" for warning in answer.warnings]
    return "\n\n".join(parts) + "\n"
