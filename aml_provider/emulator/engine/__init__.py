"""Does what is due as time passes: fires schedules, and lists the blobs that they watch."""
