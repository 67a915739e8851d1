"""Specifications: what an author asks for, checked and turned into request bodies."""
