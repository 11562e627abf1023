"""The same pipeline on Kubeflow Pipelines v2: one task per TFX node, with TFX's own launcher inside."""

# A task imports TFX before the pipeline, and so Arrow, whose allocator the pipeline chooses.
import pipeline  # noqa: F401
