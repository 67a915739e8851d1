"""Requests over HTTP: the protocol without I/O, its retries, and the two clients that carry it out."""
