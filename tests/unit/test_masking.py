"""How secrets are registered on an event loop."""

from __future__ import annotations

import asyncio

from asgiref.sync import async_to_sync

from aml_provider import masking
from aml_provider.client.secret import Secret


async def test_before_airflow_3_3_the_loop_that_masks_also_answers(monkeypatch):
    """Airflow 3.0 sends each secret to the triggerer's parent, over that loop; another thread ended the triggerer."""
    masked = []

    async def send(form):
        masked.append((form, asyncio.get_running_loop()))

    monkeypatch.setattr(masking, "amask_secret", None)
    monkeypatch.setattr(masking, "mask_secret", async_to_sync(send))
    await masking.async_mask([Secret("s3cr3t")])
    assert masked == [("s3cr3t", asyncio.get_running_loop())]
