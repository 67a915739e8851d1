"""For how long a request of another process may still arrive."""

from __future__ import annotations

from aml_provider.client.http.messages import ON_ITS_WAY

# Seconds by which the clocks of two machines may differ.
_SKEW = 900.0


def arrival_timeout(sent_at: float, lookup_timeout: float, now: float) -> float:
    """For how long to look for what another process has sent, which may have left at any moment until that died.

    Its clock may be ahead, so there is an upper bound. It may be behind, so a request counts as recent for longer than
    it may be on its way: whoever stops looking too early submits a second time.

    Args:
        sent_at: When it was about to be sent, by the other clock, in seconds since the epoch.
        lookup_timeout: Seconds for which something is looked up before it counts as absent.
        now: The time by our clock.

    Returns:
        Seconds; 0 after a quarter of an hour and more: then once is enough.
    """
    longest = lookup_timeout + ON_ITS_WAY
    return min(longest, max(0.0, sent_at + longest + _SKEW - now))
