"""Registers every secret that this provider handles with Airflow's masker, before the secret can reach a log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

from aml_provider.compat import in_thread, mask_secret

try:
    from airflow.sdk.log import amask_secret
except ImportError:  # before 3.3
    amask_secret = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aml_provider.client.secret import Secret

# The shortest line of a PEM file that is masked; shorter ones are its frame or its end.
_LONG_LINE = 24


def mask(secrets: Iterable[Secret[Any]]) -> None:
    """Mask secrets in the log of this process and, on a worker, of its supervisor."""
    for form in _forms(secrets):
        mask_secret(form)


async def async_mask(secrets: Iterable[Secret[Any]]) -> None:
    """The same as :func:`mask` on an event loop, where Airflow's own function could deadlock."""
    for form in _forms(secrets):
        if amask_secret is None:
            await in_thread(mask_secret, form)
        else:
            await amask_secret(form)


def _forms(secrets: Iterable[Secret[Any]]) -> Iterator[str]:
    """The texts in which a secret may show: whole, escaped for a URL, the signature of a SAS, each line of a key."""
    seen = set()
    for secret in secrets:
        value = secret.reveal()
        # Airflow 2's masker cannot process a lone surrogate.
        text = (value if isinstance(value, bytes) else value.encode(errors="replace")).decode(errors="replace")
        lines = [line for line in text.splitlines() if len(line) >= _LONG_LINE and not line.startswith("-----")]
        signatures = [item for name, item in parse_qsl(text.rpartition("?")[2]) if name == "sig"]
        for form in (text, *lines, *signatures):
            for shown in (form, quote(form, safe="")):
                if shown and shown not in seen:
                    seen.add(shown)
                    yield shown
