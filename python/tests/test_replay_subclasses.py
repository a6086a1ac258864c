"""Instances of subclasses of built-in containers, and the containers of `collections`: what a recording says is in them is what is in them."""

import ast
import json
import subprocess
import sys

import debugop
import pytest
from debugop import _core
from debugop._past_values import Evaluator, Unknown, lift

PROGRAM = """\
import collections, random, sys

class Names(list): pass
class Config(dict): __slots__ = ("a", "b")
class Named(dict): pass
class Tags(set): pass
class Frozen(frozenset): pass
class Row(tuple): pass
class Pair(tuple): __slots__ = ()
class Queue(collections.deque): pass
class Order(collections.OrderedDict): pass
Point = collections.namedtuple("Point", "x y")

rng = random.Random(SEED)

def shown(container, contents, attributes):
    print(repr((contents, attributes)))

def show(container):
    contents = list(container.items() if isinstance(container, dict) else container)
    if isinstance(container, (set, frozenset)):
        contents.sort()
    names = ("a", "b")
    shown(container, contents, {name: getattr(container, name) for name in names if hasattr(container, name)})

def number():
    return rng.randrange(20)

def set_attribute(container):
    if hasattr(container, "__dict__") or hasattr(type(container), "a"):
        setattr(container, rng.choice("ab"), number())

def drop_attribute(container):
    name = rng.choice("ab")
    if hasattr(container, name) and not hasattr(type(container), "_fields"):
        delattr(container, name)

def of_list(one):
    rng.choice([lambda: one.append(number()), lambda: one.extend([1] * number()), lambda: one and one.pop(),
                lambda: one.sort(), lambda: one.insert(0, number()), one.clear, one.reverse,
                lambda: one.__setitem__(slice(1, 3), [number()])])()

def of_deque(one):
    rng.choice([lambda: one.append(number()), lambda: one.extendleft(range(number())), lambda: one and one.popleft(),
                lambda: one.rotate(number()), lambda: one and one.pop(), lambda: one.extend(range(60)), lambda: len(one) > 90 and one.clear(),
                lambda: one and one.__setitem__(0, number())])()

def of_dict(one):
    key = number()
    rng.choice([lambda: one.__setitem__(key, number()), lambda: one.pop(key, None), lambda: one.update({key: 0, 7: 7}),
                lambda: one and one.popitem(), lambda: one.setdefault(key, -1), one.clear if rng.random() < 0.1 else one.copy])()
    if isinstance(one, collections.OrderedDict) and one:
        one.move_to_end(rng.choice(list(one)), last=rng.random() < 0.5)

def of_set(one):
    rng.choice([lambda: one.add(number()), lambda: one.discard(number()), lambda: one.update(range(4)), lambda: one and one.pop()])()

def in_line(names, counts, queue):
    names += [number()]
    names[0] = number()
    counts[number()] += 1
    queue += [3]
    del names[:5]
    show(names); show(counts); show(queue)

def main():
    containers = [(Names([1, 2]), of_list), (Config(), of_dict), (Named(x=1), of_dict), (Tags(), of_set),
                  (Queue(), of_deque), (collections.deque(maxlen=7), of_deque), (collections.deque(), of_deque),
                  (Order(), of_dict), (collections.OrderedDict(), of_dict), (collections.defaultdict(int), of_dict),
                  (collections.Counter(), of_dict)]
    fixed = [Frozen([1, 2]), Row([3, 4]), Row(), Pair((5, 6)), Point(7, 8), Row(range(40)), sys.version_info[:2], sys.float_info]
    for container in fixed:
        show(container)
    for _ in range(60):
        for container, change in containers:
            change(container)
            set_attribute(container)
            show(container)
            if rng.random() < 0.3:
                drop_attribute(container)
        container = rng.choice(fixed)
        set_attribute(container)
        show(container)
        in_line(containers[0][0], containers[-1][0], containers[4][0])

main()
"""


@pytest.fixture(scope="module", params=[1, 2, 3])
def recorded(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("subclasses")
    program = directory / "program.py"
    program.write_text(PROGRAM.replace("SEED", str(request.param)))
    done = subprocess.run(
        [sys.executable, "-m", "debugop", "record", "-o", directory / "run.debugop", program],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return directory / "run.debugop", [ast.literal_eval(line) for line in done.stdout.splitlines()]


def check(recording, expected):
    entered = [step for step in recording.starts() if step.function == "shown"]
    assert len(entered) == len(expected)
    for step, (contents, attributes) in zip(entered, expected, strict=True):
        value = recording.at(step.step).frames[-1].locals["container"]
        if value.type_name == "tuple":
            assert value == tuple(contents)
            continue
        found = value.contents
        assert value.attributes == {} or attributes, (step, value)
        given = dict(contents) if found.type_name == "dict" else contents
        if found.is_whole:
            plain = found.value
            assert (sorted(plain) if isinstance(plain, (set, frozenset)) else type(given)(plain)) == given, (
                step,
                value,
            )
            if isinstance(given, dict):
                assert list(plain.items()) == contents, (step, value)
        else:
            # No more than the first 16 are recorded.
            assert len(given) > 16
        if "Point" not in value.type_name:
            assert {name: one.value for name, one in value.attributes.items()} == attributes


def test_what_is_shown_is_what_was_in_it(recorded):
    path, expected = recorded
    check(debugop.open(path), expected)


def test_and_so_it_is_when_packed(recorded, tmp_path):
    path, expected = recorded
    packed = tmp_path / "packed.debugop"
    subprocess.run(
        [sys.executable, "-m", "debugop", "pack", path, "-o", packed], check=True, capture_output=True, timeout=120
    )
    check(debugop.open(packed), expected)


def record(tmp_path, text):
    program = tmp_path / "program.py"
    program.write_text(text)
    path = tmp_path / "run.debugop"
    subprocess.run(
        [sys.executable, "-m", "debugop", "record", "-o", path, program], check=True, capture_output=True, timeout=60
    )
    return path


def test_what_is_written_and_shown_of_them(tmp_path):
    path = record(
        tmp_path,
        "import collections\n"
        "Point = collections.namedtuple('Point', 'x y')\n"
        "counts = collections.Counter()\n"
        "for letter in 'abca':\n"
        "    counts[letter] += 1\n"
        "point, queue = Point(1, [2]), collections.deque('ab')\n"
        "for one in (counts, point, queue):\n"
        "    pass\n",
    )

    def command(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "debugop", *map(str, arguments)], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    shown = command("show", path)
    for text in ("Counter({'a': 2", "Point((1, [2]))", "deque(['a', 'b'])"):
        assert text in shown
    written = [
        json.loads(line)
        for line in command("query", "writes", path, len(debugop.open(path)) - 1, "counts['a']", "--json").splitlines()
    ]
    assert [one["at"]["line"] for one in written] == [5, 5], written


def test_expressions_over_them_do_not_guess_what_their_class_does(tmp_path):
    path = record(
        tmp_path,
        "import collections\n"
        "class Own(dict):\n"
        "    def __getitem__(self, key): return 5\n"
        "class Plain(list): pass\n"
        "Point = collections.namedtuple('Point', 'x y')\n"
        "def main():\n"
        "    own, counts, queue = Own(a=1), collections.Counter('aab'), collections.deque([1, 2])\n"
        "    plain, point = Plain([1]), Point(1, 2)\n"
        "    plain.note = 3\n"
        "    len(plain)\n"
        "    return own\n"
        "main()\n",
    )
    recording = debugop.open(path)
    step = [step for step in recording if step.opname == "RETURN_VALUE" and step.function == "main"][-1].step
    known = _core.Past(path).at(step).locals(1)

    def name(text):
        if text not in known:
            raise Unknown(text)
        return lift(known[text])

    evaluate = Evaluator(name).value
    assert evaluate("counts['a']") == 2
    assert evaluate("len(counts)") == 2
    assert evaluate("queue[-1]") == 2
    assert evaluate("list(queue)") == [1, 2]
    assert evaluate("plain.note") == 3
    for text in (
        "own['a']",
        "counts['missing']",
        "len(own)",
        "list(own)",
        "plain[0]",
        "bool(plain)",
        "point[0]",
        "1 in own",
    ):
        with pytest.raises(Unknown):
            evaluate(text)
