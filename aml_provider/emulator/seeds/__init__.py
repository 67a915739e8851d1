"""Seed files: the pipelines, schedules and datastores with which a workspace starts."""
