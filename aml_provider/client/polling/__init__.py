"""Many waits for runs in one process: which requests a round of polling sends, and which waits the replies concern."""
