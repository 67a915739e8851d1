"""One folder level of a blob container: list it, and say what changed since last time."""
