"""What hears what people do in Airflow, in its API server."""
