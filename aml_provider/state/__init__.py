"""Stores, in Airflow's metadata database, what must survive a crash."""
