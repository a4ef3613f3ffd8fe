"""DEBUG records as fast as they go, and then errors; it stays until it is over:
`flood.py <stream|dgram> <run directory> <source> <folder> <debugs> <errors> <bytes>`."""

import json
import os
import socket
import sys
import time

from numbered import Account, is_over

how, run_dir, source, folder, debugs, errors, ballast = sys.argv[1:]
is_stream = how == "stream"
kind = socket.SOCK_STREAM if is_stream else socket.SOCK_DGRAM
connection = socket.socket(socket.AF_UNIX, kind)
connection.connect(os.path.join(run_dir, "socket" if is_stream else "dgram"))
account = Account(folder, source)
padding = "f" * int(ballast)


def send(level, n):
    record = {"level": level, "msg": f"flood {n}", "padding": padding, "flooder": source}
    begin = time.monotonic()
    connection.sendall(json.dumps(record).encode() + b"\n")
    account.longest = max(account.longest, time.monotonic() - begin)
    account.attempted += 1


for n in range(int(debugs)):
    send("debug", n)
for n in range(int(errors)):
    send("error", n)
account.close()
# Who is gone is soon left out of the status.
while not is_over(folder):
    time.sleep(0.01)
