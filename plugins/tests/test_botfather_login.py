"""The login of the plugin botfather, on a terminal of its own, with a scripted Telegram."""

import json
import os
import pty
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOGIN = HERE.parent / "botfather" / "login.py"
SESSION = "1the+session/of=a_scripted_login"


def login(script, *answers):
    """Logs in with these answers; its status, what it printed, what it said on standard error and what the terminal showed."""
    with tempfile.TemporaryDirectory() as directory:
        beside = shutil.copytree(HERE / "scripted", Path(directory) / "scripted")
        (beside / "script.json").write_text(json.dumps(script))
        printed, complaint = Path(directory) / "printed", Path(directory) / "complaint"
        child, terminal = pty.fork()
        if not child:
            environment = {**os.environ, "PYTHONPATH": str(beside), "PYTHONDONTWRITEBYTECODE": "1"}
            os.dup2(os.open(printed, os.O_WRONLY | os.O_CREAT, 0o600), 1)
            os.dup2(os.open(complaint, os.O_WRONLY | os.O_CREAT, 0o600), 2)
            os.execve(sys.executable, [sys.executable, "-B", str(LOGIN)], environment)
        shown, answers = "", list(answers)
        while True:
            try:
                piece = os.read(terminal, 1024).decode()
            except OSError:
                break
            shown += piece
            if piece.endswith(": ") and answers:
                os.write(terminal, f"{answers.pop(0)}\n".encode())
        os.close(terminal)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return status, printed.read_text(), complaint.read_text(), shown


class Login(unittest.TestCase):
    def test_the_session_is_printed_and_nothing_secret_is_shown(self):
        status, printed, complaint, shown = login(
            {"password": "pass word"}, "12345", "0123456789abcdef", "+49301", "99999", "12345", "wrong", "pass word"
        )
        self.assertEqual((0, ""), (status, complaint), shown)
        expected = {"TELEGRAM_API_ID": "12345", "TELEGRAM_API_HASH": "0123456789abcdef", "TELEGRAM_SESSION": SESSION}
        self.assertEqual({"account": "@ada", "secrets": expected}, json.loads(printed))
        self.assertIn("my.telegram.org/apps", shown)
        self.assertIn("That is not the code.", shown)
        self.assertIn("That is not the password.", shown)
        for secret in ("0123456789abcdef", "99999", "pass word", SESSION):
            self.assertNotIn(secret, shown)

    def test_what_telegram_refuses_is_said(self):
        for answers, part in [
            (["x", "abcd"], "TELEGRAM_API_ID is not a number"),
            (["12345", "abcd", "49301"], "no such phone number"),
            (["12345", "abcd", "+49301", "1", "2", "3"], "That is not the code. Nothing was stored"),
        ]:
            with self.subTest(part=part):
                status, printed, complaint, _ = login({}, *answers)
                self.assertEqual((1, ""), (status, printed))
                self.assertIn(part, complaint)

    def test_without_a_terminal_it_asks_nothing(self):
        done = subprocess.run(
            [sys.executable, "-B", LOGIN],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            capture_output=True,
            encoding="utf-8",
            timeout=30,
            check=False,
        )
        self.assertEqual((1, ""), (done.returncode, done.stdout))
        self.assertIn("terminal", done.stderr)


if __name__ == "__main__":
    unittest.main()
