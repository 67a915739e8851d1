"""Many waits in one process: what is read in a round, and which wait it concerns."""
