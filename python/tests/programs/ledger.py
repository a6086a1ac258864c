"""Reads a ledger as people keep one in plain text, books it in decimals, and prints balances: dataclasses, re, decimal.

The ledger is written by the program itself, from a fixed seed, so that every run prints the same.
"""

import re
import sys
from collections import defaultdict
from dataclasses import asdict, dataclass, field, fields, replace
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation, localcontext
from enum import Enum
from functools import total_ordering
from random import Random


class Kind(Enum):
    DEPOSIT = "+"
    PAYMENT = "-"
    TRANSFER = ">"


class BadLine(ValueError):
    def __init__(self, number, text, why):
        super().__init__(f"line {number}: {why}: {text!r}")
        self.number = number


@total_ordering
@dataclass(frozen=True, slots=True)
class Money:
    amount: Decimal
    currency: str = "EUR"

    def __post_init__(self):
        if self.amount != self.amount.quantize(Decimal("0.01")):
            raise ValueError(f"{self.amount} has too many digits")

    def __add__(self, other):
        if not isinstance(other, Money) or other.currency != self.currency:
            return NotImplemented
        return replace(self, amount=self.amount + other.amount)

    def __neg__(self):
        return Money(-self.amount, self.currency)

    def __lt__(self, other):
        return (self.currency, self.amount) < (other.currency, other.amount)

    def __format__(self, spec):
        return format(f"{self.amount:,.2f} {self.currency}", spec)


@dataclass(order=True)
class Entry:
    date: str
    number: int
    kind: Kind = field(compare=False)
    money: Money = field(compare=False)
    source: str | None = field(default=None, compare=False)
    target: str | None = field(default=None, compare=False)
    tags: frozenset[str] = field(default=frozenset(), compare=False)


LINE = re.compile(
    r"""
    (?P<date>\d{4}-\d\d-\d\d) \s+ (?P<kind>[-+>]) \s+
    (?P<amount>[\d.,]+(?:e\d)?) \s* (?P<currency>[A-Z]{3})? \s+
    (?P<source>[a-z:]+) (?: \s* -> \s* (?P<target>[a-z:]+) )?
    (?P<tags>(?:\s+\#\w+)*) \s* (?:;.*)? $
    """,
    re.VERBOSE,
)
TAG = re.compile(r"#(\w+)")
THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?:\D|$))")


def parse(lines):
    """Entries; what is no entry is an error that the caller is handed, not one that is raised."""
    for number, text in enumerate(lines, 1):
        if not (stripped := text.strip()) or stripped.startswith(";"):
            continue
        found = LINE.match(stripped)
        try:
            if found is None:
                raise BadLine(number, stripped, "not an entry")
            try:
                amount = Decimal(THOUSANDS.sub("", found["amount"]))
                money = Money(amount, found["currency"] or "EUR")
            except (InvalidOperation, ValueError) as error:
                raise BadLine(number, stripped, "not an amount") from error
        except BadLine as error:
            yield error
        else:
            tags = frozenset(TAG.findall(found["tags"]))
            yield Entry(found["date"], number, Kind(found["kind"]), money, found["source"], found["target"], tags)


class Ledger:
    def __init__(self):
        self.balances = defaultdict(dict)
        self.by_tag = defaultdict(lambda: defaultdict(Decimal))

    def book(self, entry):
        match entry:
            case Entry(kind=Kind.DEPOSIT, source=account, money=money):
                self._add(account, money)
            case Entry(kind=Kind.PAYMENT, source=account, money=money):
                self._add(account, -money)
            case Entry(kind=Kind.TRANSFER, source=source, target=str(target), money=money):
                self._add(source, -money)
                self._add(target, money)
            case Entry(kind=Kind.TRANSFER):
                raise BadLine(entry.number, entry.source, "a transfer to nowhere")
        for tag in entry.tags:
            self.by_tag[tag][entry.money.currency] += entry.money.amount

    def _add(self, account, money):
        *parents, _ = account.split(":")
        for length in range(1, len(parents) + 2):
            name = ":".join(account.split(":")[:length])
            account_balances = self.balances[name]
            try:
                account_balances[money.currency] += money
            except KeyError:
                account_balances[money.currency] = money

    def report(self, out):
        for name, balances in sorted(self.balances.items()):
            indent = "  " * name.count(":")
            print(
                f"{indent}{name:<{30 - len(indent)}}",
                *(f"{money:>20}" for _, money in sorted(balances.items())),
                file=out,
            )
        for tag, sums in sorted(self.by_tag.items()):
            print(f"#{tag}", *(f"{currency} {amount:E}" for currency, amount in sorted(sums.items())), file=out)


def write(count):
    """Lines of a ledger, one in forty of them broken."""
    random = Random(20150101)
    accounts = ["bank:giro", "bank:savings", "cash", "food:out", "food:home", "rent", "income:work"]
    for number in range(count):
        kind = random.choice("+->")
        amount = Decimal(random.randrange(1, 10**7)) / 100
        currency = random.choice(["", "", " EUR", " USD", " CHF"])
        target = f" -> {random.choice(accounts)}" if kind == ">" and number % 97 else ""
        tags = "".join(f" #{tag}" for tag in ("trip", "work", "home") if random.random() < 0.2)
        text = f"{amount:,}" if number % 40 else random.choice(["1.234", "twelve", "1..2", ""])
        yield f"2015-{number % 12 + 1:02}-{number % 28 + 1:02} {kind} {text}{currency} {random.choice(accounts)}{target}{tags} ; x"
        if number % 50 == 0:
            yield "; a comment"


def interest(balances, rate, years):
    with localcontext() as context:
        context.prec = 40
        context.rounding = ROUND_HALF_EVEN
        factor = (1 + rate) ** years
        return {money.currency: (money.amount * factor).quantize(Decimal("1e-9")) for money in balances.values()}


def main(count):
    entries, errors = [], []
    for one in parse(write(count)):
        (errors if isinstance(one, BadLine) else entries).append(one)
    ledger = Ledger()
    for entry in sorted(entries):
        try:
            ledger.book(entry)
        except BadLine as error:
            errors.append(error)
    ledger.report(sys.stdout)
    for error in errors[:10]:
        print(f"{error} (because of {error.__cause__!r})")
    print(len(entries), len(errors), [one.name for one in fields(Entry)])
    print(asdict(entries[7]))
    print(
        {
            name: value.to_eng_string()
            for name, value in interest(ledger.balances["bank"], Decimal("0.0125"), 30).items()
        }
    )
    return 3 if errors else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
