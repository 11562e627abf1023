"""The pipeline: its one definition, Beam profiles, and the runner on this machine."""

# TFX imports Arrow, whose allocator crackgate chooses.
import crackgate  # noqa: F401
