"""Operators: what a DAG does with a workspace."""
