"""How a run can end, and the exit code of the command that started it."""

from enum import StrEnum


class Verdict(StrEnum):
    """How a run can end.

    `crackgate gate` gives PASSED and releases nothing. UNCHANGED passed, and an earlier run released that very model.
    STAGED passed, and waits for a person's approval. WITHDRAWN passed, and was rolled back or rejected.
    """

    RELEASED = "released"
    UNCHANGED = "unchanged"
    STAGED = "staged"
    PASSED = "passed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    DATA_REJECTED = "data rejected"
    FAILED = "failed"


# The command line's exit codes; 2 is for usage and configuration, before a run begins.
EXIT_CODES = {
    Verdict.RELEASED: 0,
    Verdict.UNCHANGED: 0,
    Verdict.STAGED: 0,
    Verdict.PASSED: 0,
    Verdict.REFUSED: 3,
    Verdict.WITHDRAWN: 3,
    Verdict.DATA_REJECTED: 4,
    Verdict.FAILED: 1,
}
