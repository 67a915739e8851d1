"""Asset watchers: what they have seen, shared polls, and the events that they fire. No I/O, no Airflow."""
