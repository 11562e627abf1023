"""Numbers of things in words."""


def counted(number: int, noun: str) -> str:
    """Returns "1 image", or "1,200 images" for any other number; the noun's plural has to end in "s"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
