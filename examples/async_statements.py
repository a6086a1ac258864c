"""`async for` and `async with`: protocols whose every call can be waited for.

Look at GET_ANEXT: it calls `__anext__`, and the SEND behind it waits for what that returned. The loop ends when StopAsyncIteration
arrives at END_ASYNC_FOR. `async with` awaits both `__aenter__` and `__aexit__`.
"""

import asyncio


class Pages:
    def __init__(self, count):
        self.left = count

    async def __aenter__(self):
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, kind, error, traceback):
        print("closed")

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        return f"page {self.left}"


async def read():
    async with Pages(2) as pages:
        async for page in pages:
            print(page)
        else:
            print("the end")


asyncio.run(read())
