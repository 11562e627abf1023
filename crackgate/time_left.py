"""The remaining time in words."""


def time_left(seconds: float, done: int, total: int) -> str:
    """Estimates the remaining time from at least one step so far: "40 s left", "12 min left", "3.5 h left"."""
    left = seconds / done * (total - done)
    if left < 100:
        return f"{left:.0f} s left"
    return f"{left / 60:.0f} min left" if left < 6000 else f"{left / 3600:.1f} h left"
