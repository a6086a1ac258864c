"""A tour of the standard library: logging, csv, email, xml, paths, sqlite3, templates, pickle, argparse, and more."""

import argparse
import configparser
import copy
import csv
import datetime
import difflib
import email.policy
import enum
import fractions
import functools
import glob
import hashlib
import heapq
import html.parser
import io
import itertools
import json
import logging
import logging.handlers
import pathlib
import pickle
import shlex
import shutil
import sqlite3
import statistics
import string
import struct
import sys
import tempfile
import textwrap
import typing
import weakref
import xml.dom.minidom
import xml.etree.ElementTree as ElementTree
import zipfile
import zlib
from email.message import EmailMessage


class Upper(logging.Filter):
    def filter(self, record):
        record.msg, record.args = record.getMessage().upper(), ()
        return record.levelno != logging.INFO


def log():
    text = io.StringIO()
    logger = logging.getLogger("tour.log")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(funcName)s:%(lineno)d %(message)s"))
    memory = logging.handlers.MemoryHandler(100, logging.ERROR, handler)
    logger.addHandler(memory)
    logger.addFilter(Upper())
    for number in range(5):
        logger.log(10 * (number + 1), "message %d of %s", number, "five")
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        logger.exception("failed")
    memory.close()
    print(text.getvalue())


def tables():
    text = io.StringIO()
    writer = csv.DictWriter(text, ["name", "n", "quoted, too"], quoting=csv.QUOTE_NONNUMERIC)
    writer.writeheader()
    writer.writerows({"name": f"row {n}", "n": n / 4, "quoted, too": 'a "b"\n' * n} for n in range(4))
    text.seek(0)
    print(list(csv.DictReader(text, quoting=csv.QUOTE_NONNUMERIC)))
    print(csv.Sniffer().sniff("a;b;c\n1;2;3\n").delimiter)


def mail():
    message = EmailMessage(policy=email.policy.default)
    message["Subject"] = "Grüße aus dem Innern"
    message["From"], message["To"] = "a@example.org", "Ü <b@example.org>, c@example.org"
    message.set_content("Zeile eins\nünd zwei\n")
    message.add_attachment(b"\0\1\2", maintype="application", subtype="octet-stream", filename="data.bin")
    message.set_boundary("=====")
    again = email.message_from_bytes(message.as_bytes(), policy=email.policy.default)
    print(again["subject"], again["to"].addresses, [part.get_content_type() for part in again.walk()])
    print(again.get_body().get_content(), [part.get_content() for part in again.iter_attachments()])


def markup():
    root = ElementTree.Element("root", {"n": "1"})
    for number in range(3):
        ElementTree.SubElement(root, "item", id=str(number)).text = "<&>" * number
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    print(text, [one.attrib for one in ElementTree.fromstring(text).iterfind(".//item[@id='2']")])
    print(xml.dom.minidom.parseString(text).documentElement.getAttribute("n"))
    try:
        ElementTree.fromstring("<a><b></a>")
    except ElementTree.ParseError as error:
        print(error, error.position)

    class Links(html.parser.HTMLParser):
        def handle_starttag(self, tag, attributes):
            print(tag, attributes)

    Links().feed("<p class=x>a<a href='b'>c</a><br/>&amp;")


def files():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for number in range(6):
            path = folder / f"d{number % 2}" / f"f{number}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text("x" * number, encoding="utf-8")
        print(sorted(str(path.relative_to(folder)) for path in folder.rglob("*.txt")))
        print(sorted(glob.glob("**/f[1-3].*", root_dir=folder, recursive=True)))
        print([(path.suffix, path.with_suffix(".y").name, path.stat().st_size) for path in sorted(folder.glob("d1/*"))])
        shutil.make_archive(str(folder / "all"), "zip", folder, "d0")
        with zipfile.ZipFile(folder / "all.zip") as archive:
            print(sorted(archive.namelist()), archive.testzip())


class Product:
    def __init__(self):
        self.product = 1

    def step(self, value):
        self.product *= value

    def finalize(self):
        return self.product


def database():
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    connection.create_function("reverse", 1, lambda text: text[::-1], deterministic=True)
    connection.create_aggregate("product", 1, Product)
    connection.create_collation("backwards", lambda a, b: (a < b) - (a > b))
    with connection:
        connection.execute("create table t (n integer primary key, word text)")
        connection.executemany("insert into t values (?, ?)", ((n, f"word {n}") for n in range(1, 8)))
    print([tuple(row) for row in connection.execute("select reverse(word), n from t order by word collate backwards")])
    print(tuple(connection.execute("select product(n), count(*) from t").fetchone()))
    connection.create_function("fails", 0, lambda: 1 / 0)
    try:
        connection.execute("select fails()")
    except sqlite3.OperationalError as error:
        print(error)
    try:
        with connection:
            connection.execute("delete from t")
            connection.execute("insert into t values (1, 'a'), (1, 'b')")
    except sqlite3.IntegrityError as error:
        print(error, connection.execute("select count(*) from t").fetchone()[0])
    connection.close()


class Color(enum.Flag):
    RED = enum.auto()
    BLUE = enum.auto()
    PURPLE = RED | BLUE


class Point(typing.NamedTuple):
    x: int
    y: int = 0

    def __reduce__(self):
        return Point, (self.x, self.y + 1)


@functools.singledispatch
def show(value):
    return f"object {value}"


@show.register
def _(value: int):
    return f"int {value}"


@show.register(list)
def _(value):
    return [show(one) for one in value]


@functools.lru_cache(maxsize=8)
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


class Tree(weakref.WeakValueDictionary):
    pass


def objects():
    print(list(Color), Color.PURPLE & ~Color.RED, Color(3))
    print(pickle.loads(pickle.dumps([Point(1), {"a": Point(2, 3)}])), copy.deepcopy(Point(4)), Point(1)._replace(x=9))
    print(show([1, "a", [2.5]]), fibonacci(60), fibonacci.cache_info())
    tree, kept = Tree(), Color.RED
    tree["kept"] = kept
    tree["lost"] = type("Lost", (), {})()
    print(sorted(tree))
    print(sorted(["b", "A", "c"], key=str.lower), heapq.nsmallest(3, [5, 1, 4, 2], key=lambda n: -n))
    print([(key, list(group)) for key, group in itertools.groupby(range(10), key=lambda n: n // 4)])
    print(functools.reduce(lambda a, b: a * b, range(1, 10)), max(range(9), key=lambda n: n % 5))


def texts():
    print(string.Template("$a and ${b}").substitute(a=1, b="two"), textwrap.fill("word " * 30, 40, initial_indent="* "))
    print("\n".join(difflib.unified_diff("a b c d".split(), "a c x d".split(), lineterm="")))
    print(shlex.split('a \'b c\' "d\\"e"'), json.dumps({"k": [1, None, "é\ud800"], "n": 1.5}, indent=1))
    config = configparser.ConfigParser()
    config.read_string("[a]\nx = 1\ny = %(x)s2\n[b]\nz: yes")
    print({name: dict(section) for name, section in config.items()}, config["b"].getboolean("z"))
    print(datetime.date(2024, 2, 29) + datetime.timedelta(days=366), datetime.datetime.strptime("1.2.03", "%d.%m.%y"))
    print(statistics.fmean(range(10)), statistics.pstdev([1, 2, 4]), fractions.Fraction("0.125") ** -2)
    print(hashlib.sha256(b"x").hexdigest()[:8], zlib.crc32(b"x"), struct.pack("<iH3s", -1, 2, b"abc"))


def arguments():
    parser = argparse.ArgumentParser("tour", description="Shows the standard library at work.")
    parser.add_argument("--part", action="append", metavar="NAME", help="only this part (%(default)s: all)")
    parser.add_argument("-v", "--verbose", action="count", default=0)
    commands = parser.add_subparsers(dest="command", required=False)
    commands.add_parser("list", help="list the parts")
    return parser.parse_args()


PARTS = {part.__name__: part for part in (log, tables, mail, markup, files, database, objects, texts)}

if __name__ == "__main__":
    options = arguments()
    if options.command == "list":
        print(*PARTS, sep="\n")
        sys.exit()
    for name in options.part or PARTS:
        print(f"-- {name}")
        PARTS[name]()
