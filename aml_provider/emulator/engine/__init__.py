"""Does what is due as time passes: fires schedules, and polls blobs for them."""
