"""Runs in Airflow's API server: cancels the runs of tasks whose state a person changes."""
