"""The installed package as a whole."""

import importlib.metadata
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import debugop
from debugop import _core, _supported


def test_version_is_the_distributions():
    assert debugop.__version__ == importlib.metadata.version("debugop")


def test_the_compiled_module_is_for_exactly_this_interpreter():
    assert Path(_core.__file__).name == "_core" + EXTENSION_SUFFIXES[0]
    assert sys.version_info[:2] in _supported.VERSIONS


def test_the_metadata_promises_the_versions_that_import_accepts():
    metadata = importlib.metadata.metadata("debugop")
    accepted = ["{}.{}".format(*version) for version in _supported.VERSIONS]
    end = f"3.{_supported.VERSIONS[-1][1] + 1}"
    bounds = {bound.strip() for bound in metadata["Requires-Python"].split(",")}
    assert bounds == {f">={accepted[0]}", f"<{end}"}
    prefix = "Programming Language :: Python :: "
    classifiers = metadata.get_all("Classifier")
    assert [line.removeprefix(prefix) for line in classifiers if line.startswith(prefix + "3.")] == accepted


def test_the_types_are_shipped():
    assert (Path(debugop.__file__).parent / "py.typed").exists()
