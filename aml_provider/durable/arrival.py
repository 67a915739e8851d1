"""The time for which a request of another process may still arrive."""

from __future__ import annotations

from aml_provider.client.http.messages import ON_ITS_WAY

# Seconds by which the clocks of two machines may differ.
_SKEW = 900.0


def arrival_timeout(sent_at: float, lookup_timeout: float, now: float) -> float:
    """The time for which a request of another process is looked up; it may have left at any moment until that died.

    The other clock may be ahead, so there is an upper bound. It may be behind, so a request counts as recent for longer
    than it may be on its way: a look-up that ends too early leads to a second submission.

    Args:
        sent_at: The time just before the request, by the other clock, in seconds since the epoch.
        lookup_timeout: Seconds for which something is looked up before it counts as absent.
        now: The time by our clock.

    Returns:
        Seconds; 0 for a request of more than a quarter of an hour ago: then one look-up is enough.
    """
    longest = lookup_timeout + ON_ITS_WAY
    return min(longest, max(0.0, sent_at + longest + _SKEW - now))
