"""Checks of literal arguments, which have no template; the checks run where DAG files are parsed."""
