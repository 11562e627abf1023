"""Which answers are picked to look at."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.report.content import Answer

CLASSES = ["Negative", "Positive"]


@st.composite
def answers(draw: st.DrawFn) -> list[Answer]:
    scores = draw(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=80))
    return [
        Answer(
            path=f"{number}.jpg",
            actual=draw(st.sampled_from(CLASSES)),
            label=draw(st.sampled_from([*CLASSES, "no class"])),
            scores={"Negative": None if score is None else 1 - score, "Positive": score},
        )
        for number, score in enumerate(scores)
    ]


@settings(deadline=None)  # the first example imports TensorFlow
@given(answers())
def test_the_surest_wrong_answers_of_each_class_are_picked_or_the_least_certain_right_ones(
    given_answers: list[Answer],
) -> None:
    from pipeline.report.answers import pick

    def certainty(answer: Answer) -> float:
        score = answer.scores.get(answer.label)
        return math.inf if score is None else score

    picked = pick(given_answers, CLASSES)
    wrong = [answer for answer in given_answers if answer.label != answer.actual]
    pool, sign = (wrong, -1) if wrong else (given_answers, 1)
    assert (picked.scored, picked.wrong) == (len(given_answers), len(wrong))
    assert picked.shown == ("wrong" if wrong else "least certain")
    for name, shown in picked.by_class.items():
        candidates = [answer for answer in pool if answer.actual == name]
        assert len(shown) == min(12, len(candidates))
        assert all(answer in candidates for answer in shown)
        values = [sign * certainty(answer) for answer in shown]
        assert values == sorted(values)
        left = [sign * certainty(answer) for answer in candidates if answer not in shown]
        assert not left or max(values) <= min(left)


def test_many_classes_share_the_space() -> None:
    from pipeline.report.answers import pick

    names = [f"Class {number}" for number in range(30)]
    wrong = [
        Answer(path=f"{name} {number}", actual=name, label="other", scores={}) for name in names for number in range(3)
    ]
    assert {len(shown) for shown in pick(wrong, names).by_class.values()} == {1}
