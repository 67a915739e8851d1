"""Conversion between the workspace's models and the JSON of the services."""
