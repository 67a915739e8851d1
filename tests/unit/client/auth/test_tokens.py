from __future__ import annotations

import asyncio
import gc

import pytest
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from support.models.credential import Inner
from support.services.authority import settings

from aml_provider.client.auth.credentials import get_async_token
from aml_provider.client.auth.tokens import AsyncCredential, Credential
from aml_provider.client.errors import CredentialError

SCOPE = "https://management.azure.com/.default"


@pytest.mark.parametrize(("lifetime", "requests"), [(3600, 1), (200, 2)])
async def test_a_token_is_kept_until_it_is_about_to_expire(lifetime, requests):
    inner = Inner(lifetime)
    credential = Credential(inner.sync())
    for _ in range(2):
        credential.get_token(SCOPE)
    assert len(inner.asked) == requests

    inner = Inner(lifetime)
    inner.answer.set()
    async with AsyncCredential(inner) as credential:
        for _ in range(2):
            await credential.get_token(SCOPE)
    assert len(inner.asked) == requests
    assert inner.closed


async def test_each_audience_has_its_own_token():
    inner = Inner()
    inner.answer.set()
    for credential in (Credential(inner.sync()), AsyncCredential(inner)):
        inner.asked.clear()
        got = [credential.get_token(scope) for scope in (SCOPE, "other/.default")]
        tokens = [await one if asyncio.iscoroutine(one) else one for one in got]
        assert len({token.token for token in tokens}) == 2
        assert inner.asked == [SCOPE, "other/.default"]


async def test_many_who_need_one_token_ask_once():
    inner = Inner()
    credential = AsyncCredential(inner)
    waiting = [asyncio.create_task(credential.get_token(SCOPE)) for _ in range(100)]
    await asyncio.sleep(0)
    # Whoever began must be able to give up alone.
    waiting[0].cancel()
    await asyncio.sleep(0)
    inner.answer.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert {token.token for token in results[1:]} == {"token-1"}
    assert len(inner.asked) == 1


async def test_a_refusal_is_shared_too_and_not_kept():
    inner = Inner()
    inner.failure = ClientAuthenticationError(message="AADSTS7000215: no")
    credential = AsyncCredential(inner)
    cli = settings("azure_cli")
    waiting = [asyncio.create_task(get_async_token(credential, cli, SCOPE)) for _ in range(3)]
    inner.answer.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [CredentialError] * 3
    assert len(inner.asked) == 1
    inner.failure = None
    assert await get_async_token(credential, cli, SCOPE) == "token-2"


async def test_a_refusal_that_nobody_waits_for_is_logged_nowhere():
    """The loop logs an error that nobody has taken from its task, and one of aiohttp has the proxy's whole address."""
    logged = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context))
    inner = Inner()
    inner.failure = ServiceRequestError("407, url='http://user:s3cret@proxy:3128'")
    credential = AsyncCredential(inner)
    waiting = asyncio.create_task(credential.get_token(SCOPE))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    inner.answer.set()
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})
    # Its traceback holds the call.
    del waiting
    gc.collect()
    assert inner.asked
    assert logged == []


async def test_closing_ends_what_is_being_asked():
    inner = Inner()
    credential = AsyncCredential(inner)
    waiting = asyncio.create_task(credential.get_token(SCOPE))
    await asyncio.sleep(0)
    await credential.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert inner.closed
