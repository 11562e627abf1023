"""The same pipeline on Kubeflow Pipelines v2: one task per TFX node, with TFX's own launcher inside."""

# A task imports TFX first, and so Arrow, whose allocator crackgate chooses.
import crackgate  # noqa: F401
