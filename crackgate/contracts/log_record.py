"""Fields of a log record by which the logger "crackgate" speaks to the terminal, beyond its level."""

# For `extra`: the message stays on the terminal. Others give way to the next one.
LASTING = {"lasting": True}
