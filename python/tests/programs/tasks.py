"""asyncio at work: tasks, queues, gather, timeouts, cancellation, task groups, locks, streams, executors, async generators.

Prints only what does not depend on timing.
"""

import asyncio
import contextlib
import contextvars

request = contextvars.ContextVar("request", default="none")


async def worker(name, queue, results):
    try:
        while True:
            number = await queue.get()
            try:
                if number % 7 == 0:
                    raise ValueError(f"seven: {number}")
                await asyncio.sleep(0)
                results[number] = number * number
            except ValueError as error:
                results[number] = str(error)
            finally:
                queue.task_done()
    except asyncio.CancelledError:
        results.setdefault("cancelled", []).append(name)
        raise


async def producers_and_consumers():
    queue, results = asyncio.Queue(maxsize=3), {}
    workers = [asyncio.create_task(worker(f"worker {n}", queue, results)) for n in range(4)]
    for number in range(40):
        await queue.put(number)
    await queue.join()
    for task in workers:
        task.cancel()
    ended = await asyncio.gather(*workers, return_exceptions=True)
    print(sorted(results.pop("cancelled")), [type(one).__name__ for one in ended])
    print(sorted(results.items()))


async def fails_after(steps, error):
    for _ in range(steps):
        await asyncio.sleep(0)
    raise error


async def groups():
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails_after(2, KeyError("first")))
            group.create_task(fails_after(2, OSError("second")))
            forever = group.create_task(asyncio.sleep(3600))
    except* KeyError as errors:
        print("keys:", [str(one) for one in errors.exceptions])
    except* OSError as errors:
        print("systems:", [str(one) for one in errors.exceptions])
    print(forever.cancelled())


async def timeouts():
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(3600)
    except TimeoutError as error:
        print("timed out", type(error.__cause__).__name__)
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 0.01)
    event = asyncio.Event()
    protected = asyncio.create_task(event.wait())
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.shield(protected), 0.01)
    event.set()
    print("shielded:", await protected)


async def numbers(limit):
    try:
        for number in range(limit):
            await asyncio.sleep(0)
            yield number
    finally:
        await asyncio.sleep(0)
        print("generator closed")


async def generators():
    print([number async for number in numbers(5) if number % 2])
    async with contextlib.aclosing(numbers(100)) as limited:
        async for number in limited:
            if number == 3:
                break
    print({key: value async for key, value in pairs()})


async def pairs():
    for key in "abc":
        yield key, await asyncio.to_thread(ord, key)


async def handle(name):
    request.set(name)
    await asyncio.sleep(0)
    return request.get(), name


async def contexts():
    print(await asyncio.gather(*(handle(f"r{n}") for n in range(3))), request.get())


async def locks():
    lock, order = asyncio.Lock(), []

    async def hold(name):
        async with lock:
            order.append(name)
            await asyncio.sleep(0)
            order.append(name)

    await asyncio.gather(*(hold(name) for name in "xyz"))
    print(order)


async def streams():
    async def answer(reader, writer):
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for word in ("one", "two"):
            writer.write(f"{word}\n".encode())
            print(await reader.readline())
        writer.close()
        await writer.wait_closed()


async def main():
    for part in (producers_and_consumers, groups, timeouts, generators, contexts, locks, streams):
        print(f"-- {part.__name__}")
        await part()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: print("unhandled:", context["message"]))
    loop.call_soon(lambda: 1 / 0)
    await asyncio.sleep(0)
    return "done"


if __name__ == "__main__":
    print(asyncio.run(main()))
    try:
        asyncio.run(fails_after(1, SystemExit(5)))
    finally:
        print("and out")
