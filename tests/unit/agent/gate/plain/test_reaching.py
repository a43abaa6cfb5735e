"""Code that reaches for who runs it is noticed by what the interpreter does then."""

from __future__ import annotations

from agent.gate.plain.python import PlainJob, run_plainly
from agent.gate.plain.records import REACHED
from tests.doubles.local_sandbox import LocalSandbox

FAILS = "    try:\n        1 / 0\n    except ZeroDivisionError as error:\n        "
HONEST = {
    "logging": "    import logging\n    logging.getLogger('x').warning('a')\n",
    "trace": f"    import traceback\n{FAILS}traceback.format_exc()\n",
    "classes": "    import collections, enum, typing\n    collections.namedtuple('A', 'b')\n"
    "    typing.NewType('X', int)\n    enum.Enum('E', 'a b')\n",
    "signature": "    import inspect\n    inspect.signature(f)\n    inspect.getsource(f)\n",
    "machine": "    open('/proc/self/cgroup').read()\n",
    "children": "    import subprocess\n    p = subprocess.Popen(['sleep', '9'])\n    p.kill()\n"
    "    p.wait()\n",
    "memory": "    import gc\n    gc.collect()\n",
}
REACHING = {
    "frames": f"{FAILS}error.__traceback__.tb_frame.f_back\n",
    "walked": f"    import traceback\n{FAILS}list(traceback.walk_tb(error.__traceback__))\n",
    "stack": "    import inspect\n    inspect.stack()\n",
    "by_logging": "    import logging\n    logging.currentframe()\n",
    "generator": "    def g():\n        yield h.gi_frame\n    h = g()\n    next(h)\n",
    "objects": "    import gc\n    getattr(gc, 'get_' + 'objects')()\n",
    "descriptors": "    import os\n    os.listdir('/proc/self/fd')\n",
    "traced": "    import sys\n    sys.settrace(None)\n",
    "parent": "    import os\n    getattr(os, 'get' + 'ppid')()\n",
    "dump": "    import faulthandler, tempfile\n"
    "    with tempfile.TemporaryFile() as f:\n        faulthandler.dump_traceback(f)\n",
    "pointers": "    import ctypes\n    ctypes.string_at(id(1), 4)\n",
}


async def test_who_reaches_for_its_process_is_told() -> None:
    codes = {**HONEST, **REACHING}
    files = {f"{name}_.py": f"def f():\n{code}" for name, code in codes.items()}
    tests = {
        f"test_{name}.py": f"import {name}_\n\ndef test_f():\n    {name}_.f()\n" for name in codes
    }
    box = LocalSandbox({**files, **tests})
    try:
        seen = await run_plainly(box, PlainJob(files=tuple(tests), watched=tuple(files)))
    finally:
        await box.close()
    assert {seen[f"{path}::test_f"].outcome for path in tests} == {"passed"}
    reached = {n.partition("::")[0] for n in seen if REACHED in n}
    assert reached == {f"test_{name}.py" for name in REACHING}
