"""What moves time forward: runs of steps, schedules, and watched blobs."""
