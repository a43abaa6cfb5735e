"""What `python3 -m pytest` is: hands its surroundings to the server and takes over the end.

    python3 -IS client.py SOCKET PYTHON -m pytest …

Imports nothing that takes time.
"""

import _socket
import marshal
import os
import resource
import sys

address, python, *words = sys.argv[1:]
KNOWN = {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}
LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]

of_python = {name for name in os.environ if name.startswith("PYTHON")}
if "PYTHONDONTWRITEBYTECODE" not in of_python or not of_python <= KNOWN:
    # What the interpreter reads at its start cannot be changed in a fork.
    os.execv(python, [python, *words])

server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
server.connect(address)
listed = os.listdir("/proc/self/fd")  # noqa: PTH208  pathlib takes its time
files = [int(name) for name in listed if int(name) != server.fileno()]
open_files = []
for number in sorted(files):
    try:
        os.fstat(number)
    except OSError:
        continue  # the listing's own
    open_files.append(number)
umask = os.umask(0)
os.umask(umask)
limits = {limit: resource.getrlimit(limit) for limit in LIMITS}
folder = os.getcwd()  # noqa: PTH109
told = marshal.dumps((words[2:], dict(os.environ), folder, umask, limits, open_files))
passed = b"".join(number.to_bytes(4, sys.byteorder) for number in open_files)
server.sendmsg([len(told).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, passed)])
while told:
    told = told[server.send(told) :]
answer = server.recv(4)
status = int.from_bytes(answer, "big") if answer else 9  # as if killed: the server is gone
if os.WIFSIGNALED(status):
    os.kill(os.getpid(), os.WTERMSIG(status))
os._exit(os.waitstatus_to_exitcode(status))
