"""Specifications: the requests of authors, checked and turned into request bodies."""
