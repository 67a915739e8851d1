"""Many waits for runs in one process: what a round of polling asks, and which wait each answer concerns."""
