"""The runs of a workspace: folders, summaries, history, lineage."""
