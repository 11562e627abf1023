"""A released model's network in the forms of other runtimes, and how much each form loses."""
