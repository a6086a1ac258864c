"""Two tasks take turns in one thread.

Look at YIELD_VALUE in `worker`: "yields" is where a coroutine gives up its turn, "resumed" is where the event loop has come
back to it. In between the box of the other task stands. `await` is SEND in a loop, as `yield from` is (see delegation.py);
a coroutine that is awaited directly (`double`) runs inside its caller without any turn being given up.
"""

import asyncio


async def double(number):
    return number * 2


async def worker(name, rounds):
    for index in range(rounds):
        print(name, index)
        await asyncio.sleep(0)
    return await double(rounds)


async def main():
    other = asyncio.create_task(worker("b", 1))
    results = await asyncio.gather(worker("a", 2), other)
    print(results)
    try:
        await asyncio.wait_for(asyncio.Event().wait(), timeout=0)
    except TimeoutError:
        print("too late")


asyncio.run(main())
