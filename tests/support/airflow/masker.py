"""Airflow's masker of secrets, of which a process has one."""

from __future__ import annotations

import contextlib


@contextlib.contextmanager
def fresh_masker():
    """A masker that knows no secret; afterwards it knows what it knew before."""
    from support.airflow.moved import _secrets_masker

    masker = _secrets_masker()
    patterns, replacer = set(masker.patterns), masker.replacer
    masker.patterns.clear()
    masker.replacer = None
    try:
        yield masker
    finally:
        masker.patterns, masker.replacer = patterns, replacer
