"""Seed files: which pipelines, schedules and datastores a workspace starts with."""
