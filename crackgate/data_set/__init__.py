"""What a data folder says: its images, their classes, given splits and groups, and files that are no photographs."""
