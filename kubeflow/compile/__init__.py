"""From the pipeline to one file for Kubeflow Pipelines v2."""
