"""What runs as time passes: schedules and their polls of blobs."""
