"""Scoring: nothing is guessed, nothing is left out, and refusing everything never looks good."""

import math
from pathlib import Path

import pytest

from footage.timespan import TimeSpan
from workers.datasets.item import Item
from workers.datasets.replies import chosen, is_refusal, number_in
from workers.datasets.score import Mark, by_group, macro, mark, mark_all, score_ovo, tally
from workers.datasets.score_grounding import average_precision, best_iou, score_grounding
from workers.datasets.streaming import OVO_PARTS

CARS = ("a blue van", "a red car", "a dark red car", "a bicycle")
VIDEO = Path("v.mp4")


def item(name: str, choices: tuple[str, ...] = CARS, answer: str = "B", **groups: str) -> Item:
    return Item(name, VIDEO, "Which one?", choices, answer, groups=groups)


def span(start: float, end: float) -> TimeSpan:
    return TimeSpan(start, end)


@pytest.mark.parametrize(
    "reply",
    ["B", "b", "(B)", "B.", "**B**", " B\n", "B. a red car", "(B) a red car", "**B.** a red car", "B) a red car", "B: a red car",
     "B - a red car", "The answer is B.", "The best answer is: (B) a red car", "Answer: B", "Answer:\nB", "The correct option is **B**",
     "option B", "B is correct", "B because it is red", "B\n\nExplanation: (A) is a van.", "First I looked at the van.\n\nB",
     "The answer is B, as option A shows a van.", "I'm not sure, but the answer is B.", "a red car", "A red car.", "It is a red car.",
     "A man drives a red car.", "The answer is A red car", "a red car [1] [3]", "<think>A? C? The answer is A.</think>B", "A...</think>\nB",
     "<answer>B</answer>", "A, perhaps C. <answer>(B)</answer>", "so \\boxed{B}", "\\boxed{\\text{B}}"],
)  # fmt: skip
def test_a_reply_that_names_the_second_choice(reply: str) -> None:
    assert chosen(reply, CARS) == "B"


@pytest.mark.parametrize(
    "reply",
    ["", "   ", "hello", "E", "Answer: Z", "A man is seen.", "A or B", "The answer is A or B.", "(A) and (B)", "B. and A.", "red",
     "It is not a red car.", "I don't think it is a red car.", "A-list celebrities", "a blue van and a bicycle", "<think>surely B",
     "A. a blue van\nB. a red car\nC. a dark red car\nD. a bicycle", "Option A is wrong and option B too.", "I see it.", "[2]"],
)  # fmt: skip
def test_a_reply_that_names_none_or_several_chooses_nothing(reply: str) -> None:
    assert chosen(reply, CARS) is None


def test_the_longest_of_nested_choices_is_meant() -> None:
    assert chosen("I think it was a dark red car", CARS) == "C"


def test_more_than_four_choices_and_choices_that_are_empty_or_repeated() -> None:
    assert chosen("F", tuple("uvwxyz")) == "F"
    assert chosen("F", tuple("uvwxy")) is None
    assert chosen("There is an archery scene", ("", "There is an archery scene", "There is no archery scene", "")) == "B"
    assert chosen("blue", ("Blue", "Red", "White", "Blue")) == "A"


def test_a_choice_that_begins_like_a_label_is_meant_by_its_words() -> None:
    assert chosen("E. coli", ("E. coli", "yeast", "algae", "moss", "a virus")) == "A"


def test_an_answer_is_no_refusal_for_what_it_adds() -> None:
    assert chosen("A red car. I cannot tell the make.", CARS) == "B"


def test_numbers_and_orders_as_choices() -> None:
    assert chosen("I count 4 of them", ("2", "1", "5", "4")) == "D"
    assert chosen("There are 4 people in 2 cars", ("2", "1", "5", "4")) is None
    assert chosen("2->1->3->4", ("1->2->3->4", "2->1->3->4")) == "B"
    assert chosen("-5", ("5", "-5")) == "B"


@pytest.mark.parametrize(
    ("reply", "letter"),
    [("Yes", "A"), ("no.", "B"), ("Y", "A"), ("N", "B"), ("Yes, because there is no cat", "A"), ("No, not yet", "B"), ("B", "B"),
     ("The answer is yes.", "A"), ("Not yet", None), ("Yes and no", None)],
)  # fmt: skip
def test_yes_and_no(reply: str, letter: str | None) -> None:
    assert chosen(reply, ("Yes", "No")) == letter


REFUSALS = [
    "I cannot tell.", "I can't determine that from the video.", "Unable to answer", "It is impossible to tell what he holds.",
    "Not in the footage: neither pictures nor text match 'dog'.", "Not found: no text in the footage matches 'dog'.",
    "There is not enough information.", "This cannot be determined.", "I don't know", "Cannot be answered.",
]  # fmt: skip


@pytest.mark.parametrize("reply", REFUSALS)
def test_a_refusal_is_known_and_chooses_only_the_choice_that_says_the_same(reply: str) -> None:
    assert is_refusal(reply)
    assert chosen(reply, CARS) is None
    assert chosen(reply, (*CARS, "Unable to answer")) == "E"


@pytest.mark.parametrize(
    "reply", ["B", "He was unable to answer the phone.", "She cannot see the sign.", "He does not know it", "a red car"]
)
def test_what_is_no_refusal(reply: str) -> None:
    assert not is_refusal(reply)


@pytest.mark.parametrize(
    ("reply", "number"),
    [("3", 3), ("There are 3 [1] at 00:12:03.400.", 3), ("three times", 3), ("once", 1), ("3 or 4", None), ("3.5", None), ("many", None),
     ("3 of them, yes 3", 3), ("<think>2</think>4", 4), ("9" * 5000, None)],
)  # fmt: skip
def test_the_one_number_of_a_reply(reply: str, number: int | None) -> None:
    assert number_in(reply) == number


def test_every_item_counts_and_each_way_of_being_wrong_is_told_apart() -> None:
    items = [item(name) for name in "abcdef"]
    replies = {"a": "B", "b": "The answer is C", "c": "mumble", "d": "I cannot tell.", "e": "a red car"}
    marks = mark_all(items, replies)
    assert [(m.outcome, m.letter) for m in marks] == [
        ("right", "B"), ("wrong", "C"), ("unparsed", None), ("refused", None), ("right", "B"), ("unparsed", None),
    ]  # fmt: skip
    score = tally(marks)
    assert (score.asked, score.right, score.refused, score.unparsed) == (6, 2, 1, 2)
    assert score.accuracy == pytest.approx(2 / 6)
    assert score.false_refusals == pytest.approx(1 / 6)
    assert math.isnan(score.abstention)


def test_the_other_of_two_equal_choices_is_right_too() -> None:
    twins = item("t", ("Blue", "Red", "White", "Blue"), "A")
    assert mark(twins, "D").outcome == "right"


def test_always_refusing_scores_on_nothing_but_abstention() -> None:
    choices = ("a cat", "a dog", "Unable to answer")
    items = [item("1", choices, "A"), item("2", choices, "B"), item("3", choices, "C")]
    score = tally(mark_all(items, {i.id: "I cannot tell." for i in items}))
    assert (score.unanswerable, score.abstained, score.refused) == (1, 1, 2)
    assert (score.abstention, score.accuracy_answerable, score.false_refusals) == (1.0, 0.0, 1.0)
    answering = tally(mark_all(items, {"1": "A", "2": "B", "3": "A"}))
    assert (answering.abstention, answering.accuracy_answerable, answering.false_refusals) == (0.0, 1.0, 0.0)


def test_the_refusing_choice_by_its_letter_is_a_refusal_where_there_is_an_answer() -> None:
    assert mark(item("x", ("a cat", "Unable to answer"), "A"), "B").outcome == "refused"


def test_counts_are_judged_and_other_open_answers_are_not() -> None:
    count, open_answer = Item("c", VIDEO, "How many?", answer="2"), Item("o", VIDEO, "Describe.", answer="A man leads.")
    replies = ["2", "twice", "3", "many", "I cannot tell."]
    assert [mark(count, reply).outcome for reply in replies] == ["right", "right", "wrong", "unparsed", "refused"]
    assert mark(open_answer, "A man leads.").outcome == "unjudged"
    assert mark(item("n", answer=""), "B").outcome == "unjudged"
    score = tally([mark(count, "2"), mark(open_answer, "x")])
    assert (score.asked, score.unjudged, score.accuracy) == (2, 1, 1.0)


def test_an_item_counts_in_each_of_its_groups_and_the_macro_mean_weighs_groups_alike() -> None:
    marks = [Mark(item("1", task="count; order"), "right"), Mark(item("2", task="count"), "wrong"), Mark(item("3", task="count"), "wrong"),
             Mark(Item("4", VIDEO, "Describe.", answer="x y", groups={"task": "summary"}), "unjudged")]  # fmt: skip
    groups = by_group(marks, "task")
    assert {name: (t.right, t.asked) for name, t in groups.items()} == {"count": (1, 3), "order": (1, 1), "summary": (0, 1)}
    assert macro(groups.values()) == pytest.approx((1 / 3 + 1) / 2)


def ovo_items(tasks: tuple[str, ...] = sum(OVO_PARTS.values(), ())) -> list[Item]:
    """Two of each task; HLD as the set has it, the right choice always "Unable to answer"."""
    items = []
    for task in tasks:
        choices, answer = {"HLD": (("a cat", "Unable to answer"), "B"), "SSR": (("Yes", "No"), "A"), "CRR": (("Yes", "No"), "B"),
                           "REC": ((), "2")}.get(task, (("a cat", "a dog"), "A"))  # fmt: skip
        items += [Item(f"{task}{n}", VIDEO, "?", choices, answer, groups={"task": task}) for n in range(2)]
    return items


def test_ovo_is_the_mean_of_three_parts_each_the_mean_of_its_tasks() -> None:
    replies = {"EPM0": "A", "EPM1": "A", "HLD0": "B", "OCR0": "A", "REC0": "2", "SSR0": "Yes", "SSR1": "Yes", "CRR0": "Yes"}
    score = score_ovo(mark_all(ovo_items(), replies))
    assert score.backward == pytest.approx((1 + 0.5 + 0) / 3)
    assert score.realtime == pytest.approx(0.5 / 6)
    assert score.forward == pytest.approx((0.5 + 1 + 0) / 3)
    assert score.total == pytest.approx((score.backward + score.realtime + score.forward) / 3)
    assert score.backward_answerable == pytest.approx(0.5)
    assert score.tasks["HLD"].abstention == 0.5


def test_refusing_everything_is_perfect_in_hld_and_shows_as_nothing_beside_it() -> None:
    items = ovo_items()
    score = score_ovo(mark_all(items, {i.id: "Unable to answer." for i in items}))
    assert score.tasks["HLD"].accuracy == 1.0
    assert (score.backward_answerable, score.realtime, score.forward) == (0.0, 0.0, 0.0)
    assert score.total == pytest.approx(1 / 9)


def test_an_ovo_total_needs_all_three_parts_and_a_part_all_its_tasks() -> None:
    without_crr = tuple(task for tasks in OVO_PARTS.values() for task in tasks if task != "CRR")
    score = score_ovo(mark_all(ovo_items(without_crr), {}))
    assert score.backward == 0.0
    assert math.isnan(score.forward)
    assert math.isnan(score.total)


def test_grounding_counts_the_first_span_and_a_missing_one_as_nothing() -> None:
    truths = {"a": (span(10, 20),), "b": (span(0, 4), span(100, 110)), "c": (span(5, 9),)}
    found = {"a": [span(10, 17), span(10, 20)], "b": [span(100, 110)], "other": [span(0, 1)]}
    score = score_grounding(truths, found)
    assert (score.asked, score.silent) == (3, 1)
    assert score.ious == pytest.approx({"a": 0.7, "b": 1, "c": 0})
    assert score.mean_iou == pytest.approx((0.7 + 1 + 0) / 3)
    assert score.recall == pytest.approx({0.3: 2 / 3, 0.5: 2 / 3, 0.7: 2 / 3})
    assert score_grounding(truths, {"a": [span(10, 14)]}).recall == pytest.approx({0.3: 1 / 3, 0.5: 0, 0.7: 0})


def test_silence_scores_nothing_where_there_is_a_truth_and_abstains_where_there_is_none() -> None:
    truths: dict[str, tuple[TimeSpan, ...]] = {"a": (span(10, 20),), "b": (), "c": ()}
    silent, talking = score_grounding(truths, {}), score_grounding(truths, {"a": [span(10, 20)], "b": [span(0, 1)]})
    assert (silent.mean_iou, silent.mean_ap_average, silent.abstained, silent.unanswerable) == (0.0, 0.0, 2, 2)
    assert (talking.mean_iou, talking.mean_ap_average, talking.abstained) == (1.0, 1.0, 1)
    assert math.isnan(score_grounding({}, {}).mean_iou)


def test_average_precision_by_hand() -> None:
    truth = (span(0, 10), span(20, 30))
    assert average_precision([span(0, 10), span(20, 30)], truth, 0.5) == 1.0
    assert average_precision([span(50, 60), span(0, 10), span(20, 30)], truth, 0.5) == pytest.approx(2 / 3)
    assert average_precision([span(0, 10), span(50, 60), span(20, 30)], truth, 0.5) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision([span(0, 10), span(0, 10), span(0, 9)], truth, 0.5) == 0.5
    assert average_precision([], truth, 0.5) == 0.0
    assert average_precision([*[span(50, 60)] * 10, span(0, 10)], truth, 0.5) == 0.0


def test_mean_average_precision_runs_over_ten_bars() -> None:
    score = score_grounding({"a": (span(0, 100),)}, {"a": [span(0, 76)]})
    assert [bar for bar, ap in score.mean_ap.items() if ap] == [0.5, 0.55, 0.6, 0.65, 0.7, 0.75]
    assert len(score.mean_ap) == 10
    assert score.mean_ap_average == pytest.approx(0.6)


def test_best_iou_looks_at_all_true_spans() -> None:
    assert best_iou([span(0, 5)], (span(50, 60), span(0, 10))) == 0.5
    assert best_iou([], (span(0, 1),)) == 0.0
