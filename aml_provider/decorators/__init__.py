"""The decorators that DAG authors use."""
