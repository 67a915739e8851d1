"""Runs in Airflow's triggerer: what all triggers of one process share."""
