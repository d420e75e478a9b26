"""Runs a command on a terminal of its own and types an answer at each question; prints what the terminal showed.

    typed.py ANSWER ... -- COMMAND ARGUMENT ...
"""

import os
import pty
import sys

at = sys.argv.index("--")
answers, command = sys.argv[1:at], sys.argv[at + 1 :]
child, terminal = pty.fork()
if not child:
    os.execvp(command[0], command)
while True:
    try:
        piece = os.read(terminal, 1024)
    except OSError:
        break
    os.write(1, piece)
    if piece.endswith(b": ") and answers:
        os.write(terminal, answers.pop(0).encode() + b"\n")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
