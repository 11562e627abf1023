"""The decision: positive from the threshold on, and the best class of its side."""

import numpy as np

from crackgate.model.decision import Decision, decide, positive_score


def test_positive_from_the_threshold_on_and_the_best_of_the_others_below() -> None:
    scores = np.float32([[0.5, 0.2, 0.3], [0.5, 0.3, 0.2], [0.3, 0.1, 0.6], [0.15, 0.05, 0.8], [np.nan] * 3])
    assert decide(scores, Decision((2,), threshold=0.3)).tolist() == [2, 0, 2, 2, 2]
    # The positive class is never given below its threshold, even where it scores highest.
    assert decide(scores, Decision((2,), threshold=0.7)).tolist() == [0, 0, 0, 2, 2]
    assert decide(scores[:4], None).tolist() == [0, 0, 2, 2]


def test_scores_of_positive_classes_are_summed_and_the_best_of_them_is_the_label() -> None:
    scores = np.float32([[0.4, 0.35, 0.25], [0.6, 0.1, 0.3], [0.4, 0.1, 0.5], [np.nan] * 3])
    decision = Decision((1, 2), 0.5)
    assert decision.is_positive(scores).tolist() == [True, False, True, True]
    # The highest score of the first is Sound's; half of its cracks are of either kind.
    assert decide(scores, decision).tolist() == [1, 0, 2, 1]
    # Not next to each other, and a sum that float32 rounds above 1.
    thirds = np.float32([[0.33333334, 0.33333334, 0.33333337, 0.0]])
    assert positive_score(thirds, (0, 1, 2)) == 1 and decide(thirds, Decision((0, 2), 0.7)).tolist() == [1]
