"""Code that runs in Airflow's triggerer: pollers and clients that the triggers of an event loop share."""
