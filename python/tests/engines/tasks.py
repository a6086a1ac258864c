"""asyncio: tasks, cancellation, time-outs, queues, asynchronous generators."""

import asyncio


async def work(n):
    try:
        await asyncio.sleep(0)
        if n == 2:
            raise RuntimeError(n)
        return n
    finally:
        await asyncio.sleep(0)


async def numbers():
    for i in range(3):
        yield i


async def put(queue):
    for i in range(3):
        await queue.put(i)


async def get(queue):
    return [await queue.get() for _ in range(3)]


async def main():
    results = await asyncio.gather(*(work(i) for i in range(4)), return_exceptions=True)
    async for number in numbers():
        results.append(number)
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(10)
    except TimeoutError:
        results.append("late")
    async with asyncio.TaskGroup() as group:
        group.create_task(work(1))
    queue = asyncio.Queue()
    results.append(await asyncio.gather(put(queue), get(queue)))
    generator = numbers()
    await generator.asend(None)
    await generator.aclose()
    task = asyncio.create_task(asyncio.sleep(10))
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        results.append("cancelled")
    return results


print(asyncio.run(main()))
