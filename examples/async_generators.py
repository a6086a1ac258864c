"""An asynchronous generator both yields and awaits.

Look at the value that YIELD_VALUE hands out: an `await` hands None to the event loop, a `yield` hands out a wrapped value
(ASYNC_GEN_WRAP or CALL_INTRINSIC_1), and so the two are told apart. `aclose` throws GeneratorExit in, as `close` does
in generators.py. An asynchronous comprehension is a loop with END_ASYNC_FOR.
"""

import asyncio


async def ticks(count):
    try:
        for index in range(count):
            await asyncio.sleep(0)
            answer = yield index
            if answer:
                print("got", answer)
    finally:
        print("stopped")


async def main():
    print([tick * 10 async for tick in ticks(2)])
    clock = ticks(5)
    print(await clock.asend(None))
    print(await clock.asend("hello"))
    await clock.aclose()


asyncio.run(main())
