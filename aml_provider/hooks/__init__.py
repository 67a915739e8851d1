"""What DAG code and operators talk to a workspace through."""
