"""Lists one folder level of a blob container, and finds what has changed since the last time."""
