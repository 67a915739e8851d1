"""Hooks, through which DAG code and operators use a workspace."""
