"""The same pipeline on Kubeflow Pipelines v2: one task per TFX node, with TFX's own launcher inside."""
