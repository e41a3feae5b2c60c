"""What is left of a span: against counting tenths of seconds."""

from hypothesis import given
from hypothesis import strategies as st

from footage.timespan import TimeSpan, subtract

spans = st.tuples(st.integers(0, 30), st.integers(1, 12)).map(lambda pair: TimeSpan(pair[0] / 10, (pair[0] + pair[1]) / 10))


@given(whole=spans, parts=st.lists(spans, max_size=5))
def test_what_no_part_covers_is_left(whole: TimeSpan, parts: list[TimeSpan]) -> None:
    left = subtract(whole, parts)
    assert list(left) == sorted(left)
    for tenth in range(60):
        middle_s = tenth / 10 + 0.05
        is_left = middle_s in whole and not any(middle_s in part for part in parts)
        assert sum(middle_s in span for span in left) == is_left
