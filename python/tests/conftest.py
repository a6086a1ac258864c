"""What every test here shares."""

from hypothesis import settings

# A traced program can be slower than hypothesis's default deadline of 200 ms an example; pytest-timeout bounds a test.
settings.register_profile("debugop", deadline=None)
settings.load_profile("debugop")


def pytest_addoption(parser):
    """For test_examples.py."""
    parser.addoption("--write-expected", action="store_true", help="write examples/expected instead of comparing with it")
