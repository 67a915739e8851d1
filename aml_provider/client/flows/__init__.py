"""Flows: several calls that together do one thing that a user asks for."""
