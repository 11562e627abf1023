"""What a log record of the logger "crackgate" tells the terminal, beyond its level."""

# For `extra`: the message stays on the terminal. Others give way to the next one.
LASTING = {"lasting": True}
