"""The sensors that DAG authors import."""
