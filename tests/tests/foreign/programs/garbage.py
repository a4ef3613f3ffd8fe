"""Everything that is no record, again and again: `garbage.py <run directory> <folder>`."""

import os
import random
import signal
import socket
import struct
import sys

from numbered import is_over

run_dir, folder = sys.argv[1:]
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
chance = random.Random(7)


def noise(count):
    return bytes(chance.randrange(256) for _ in range(count))


def stream(*parts, cut=False):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.path.join(run_dir, "socket"))
        connection.settimeout(10)
        try:
            for part in parts:
                connection.sendall(part)
            if not cut:
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass
        except OSError:
            pass


def datagram(content):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        try:
            connection.connect(os.path.join(run_dir, "dgram"))
            connection.send(content)
        except OSError:
            pass


rounds = 0
while not is_over(folder) or rounds == 0:
    stream(b"\xff" + noise(3000))
    stream(struct.pack(">L", 0xFFFF_FFFF), b"x" * 4096)
    stream(struct.pack(">L", 1000), b"\x80\x04half a pickle", cut=True)
    stream(struct.pack(">L", 40), b"cos\nsystem\n(S'touch /tmp/pwned'\ntR.".ljust(40))
    stream(b"99999999999 <13>1 - - - - - - too long")
    stream(b"{" + b"\x00\xff" * 2000)
    datagram(b"\x00\x00\x00\x10" + noise(16))
    datagram(struct.pack(">L", 0xFFFF_FFFF) + noise(100))
    datagram(b"MESSAGE\n" + struct.pack("<Q", 1 << 40) + b"x")
    datagram(b"")
    rounds += 1
stream(b"endless" * 1_000_000, cut=True)
