"""Read an answer: a success completely, any other as far as an error carries its body.

So a client does not read 100 MB of HTML to report a wrong address.
"""

from __future__ import annotations

import httpx

from evrun._base.redaction import BODY_LIMIT


def read(response: httpx.Response) -> httpx.Response:
    """Return the response, read and closed. Raises httpx's errors over a success."""
    content = bytearray()
    try:
        if _is_wanted_whole(response):
            response.read()
            return response
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) >= BODY_LIMIT:
                break
    except httpx.HTTPError as error:
        if not _says_enough(response, error):
            raise
    finally:
        response.close()
    return _cut(response, bytes(content))


async def read_async(response: httpx.Response) -> httpx.Response:
    """Like `read`, awaited."""
    content = bytearray()
    try:
        if _is_wanted_whole(response):
            await response.aread()
            return response
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) >= BODY_LIMIT:
                break
    except httpx.HTTPError as error:
        if not _says_enough(response, error):
            raise
    finally:
        await response.aclose()
    return _cut(response, bytes(content))


def _is_wanted_whole(response: httpx.Response) -> bool:
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return response.is_success and kind != "text/html"


def _says_enough(response: httpx.Response, error: httpx.HTTPError) -> bool:
    """Whether an answer counts although the rest of its body is lost.

    A refusal does by its status. So does a success that cannot be unpacked: it was carried out, and
    will not read better the next time.
    """
    return not response.is_success or isinstance(error, httpx.DecodingError)


def _cut(response: httpx.Response, content: bytes) -> httpx.Response:
    """Return the response with what was read of its body, unpacked."""
    headers = [
        (name, value)
        for name, value in response.headers.raw  # bytes: as text they may not be ASCII
        if name.lower() not in {b"content-encoding", b"content-length", b"transfer-encoding"}
    ]
    return httpx.Response(
        response.status_code,
        headers=headers,
        content=content[:BODY_LIMIT],
        request=response.request,
        extensions=response.extensions,
    )
