"""Checks of arguments that no template changes; they run where DAG files are parsed."""
