"""Runs on Airflow's workers: what operators and sensors do when they execute."""
