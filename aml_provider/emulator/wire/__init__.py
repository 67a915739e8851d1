"""Between the workspace's models and the JSON that the service speaks."""
