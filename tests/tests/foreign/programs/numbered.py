"""Messages that a judge can check: who logged, the how-manieth it is, and whether it is whole."""

import json
import os
import sys


def message(source, n, unit="x"):
    return f"source={source} n={n} {unit * (n % 97)};"


class Account:
    """What one source tried and what it was told was sent, left in a file at its end."""

    def __init__(self, folder, source):
        self.path = os.path.join(folder, f"account.{source}")
        self.attempted = 0
        self.sent = []
        self.longest = 0.0

    def close(self):
        with open(self.path + ".new", "w") as file:
            json.dump(self.__dict__, file)
        os.rename(self.path + ".new", self.path)


def is_over(folder):
    """Whether the test wants an end."""
    return os.path.exists(os.path.join(folder, "over"))


def fail(*_):
    raise SystemExit(f"a record could not be sent: {sys.exc_info()[1]!r}")
