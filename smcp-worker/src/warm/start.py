"""Begins `host.py`, which comes over the control socket.

A child compiles it: each page of memory that compiling has used once would cost each fork time.
"""

import marshal
import os

theirs, ours = os.pipe()
if not os.fork():
    with open(ours, "wb") as file:
        program = os.read(int(os.environ["SMCP_CONTROL_FD"]), 1 << 20)
        marshal.dump(compile(program, "host.py", "exec"), file)
    os._exit(0)
os.close(ours)
with open(theirs, "rb") as file:
    program = marshal.load(file)
os.wait()
del theirs, ours, file
exec(program)
