"""The content of a data folder: images, their classes, given splits and groups, and files that are no photographs."""
