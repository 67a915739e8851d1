"""Exactly-once protocols, without Airflow: stores and callbacks are passed in."""
