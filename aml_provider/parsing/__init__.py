"""Runs where DAG files are parsed: checks of arguments that no template will change."""
