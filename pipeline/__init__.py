"""The pipeline: its configuration, its definition, the local runner and the command line."""
