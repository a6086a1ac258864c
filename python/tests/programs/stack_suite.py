"""A small suite for `-m unittest`: passes, failures, errors, skips, subtests, mocks, asynchronous tests."""

import asyncio
import unittest
from unittest import mock


class Stack:
    def __init__(self):
        self._items = []

    def push(self, item):
        self._items.append(item)

    def pop(self):
        return self._items.pop()

    def __len__(self):
        return len(self._items)


class StackTest(unittest.TestCase):
    def setUp(self):
        self.stack = Stack()
        self.addCleanup(self.stack.push, 0)

    def test_push(self):
        for number in range(3):
            with self.subTest(number=number):
                self.stack.push(number)
                self.assertEqual(len(self.stack), number + 1)

    def test_pop_of_an_empty_one(self):
        with self.assertRaisesRegex(IndexError, "pop from") as caught:
            self.stack.pop()
        self.assertIsInstance(caught.exception, LookupError)

    def test_that_fails(self):
        self.stack.push([1, 2, {"a": 3}])
        self.assertEqual(self.stack.pop(), [1, 2, {"a": 4}])

    def test_that_breaks(self):
        raise RuntimeError("broken")

    @unittest.expectedFailure
    def test_known_failure(self):
        self.assertTrue(self.stack)

    @unittest.skip("not now")
    def test_skipped(self):
        self.fail("never run")

    def test_mock(self):
        with mock.patch.object(Stack, "pop", autospec=True, side_effect=[1, KeyError]) as pop:
            self.assertEqual(self.stack.pop(), 1)
            self.assertRaises(KeyError, self.stack.pop)
        self.assertEqual(pop.call_count, 2)


class AsynchronousTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.queue = asyncio.Queue()

    async def test_queue(self):
        task = asyncio.create_task(self.queue.get())
        await self.queue.put("x")
        self.assertEqual(await task, "x")
