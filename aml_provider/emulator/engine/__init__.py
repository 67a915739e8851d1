"""Runs as time passes: schedules and their polls of blobs."""
