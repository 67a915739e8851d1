"""Many waits for runs in one process: what a round of polling requests, and which wait each answer concerns."""
