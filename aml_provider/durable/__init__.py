"""Exactly-once protocols. No Airflow in here: stores and callbacks are passed in."""
