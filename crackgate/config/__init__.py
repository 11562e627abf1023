"""The configuration: one file for each section, validated before anything starts."""
