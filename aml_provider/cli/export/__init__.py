"""``schedules export``: native schedules as DAG files."""
