"""The class that must not be missed. Without heavy imports, so that a wrong name is refused at once."""

import re

# Names of the positive class, whatever its folder is called.
LIKELY_NAMES = re.compile(r"positive|crack(s|ed)?", re.IGNORECASE)


def resolve_positive_class(configured: str, classes: list[str]) -> str | None:
    """Returns the name of the positive class; None when the highest score is to decide.

    Args:
        configured: `train.positive_class`; empty: the class that `LIKELY_NAMES` matches, if there is one.
        classes: All class names.

    Raises:
        ValueError: There is no such class, or several have such a name.
    """
    allowed = f"allowed are {', '.join(map(repr, classes)) or 'none'}"
    if configured:
        if configured not in classes:
            raise ValueError(f"train.positive_class: received {configured!r}, which is no class; {allowed}")
        return configured
    likely = [name for name in classes if LIKELY_NAMES.fullmatch(name)]
    if len(likely) > 1:
        raise ValueError(
            f"train.positive_class: received nothing, and {' and '.join(map(repr, likely))} could each be meant; "
            f"set it: {allowed}"
        )
    return likely[0] if likely else None
