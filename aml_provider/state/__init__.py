"""What survives a crash: stored in Airflow's metadata database."""
