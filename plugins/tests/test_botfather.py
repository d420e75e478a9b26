"""The plugin botfather, run as the worker runs it, with a scripted BotFather at the client's interface (`scripted/`)."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLI = HERE.parent / "botfather" / "cli.py"
sys.path.insert(0, str(HERE / "scripted" / "telethon"))
from botfather import OTHER_TOKEN, TOKEN  # noqa: E402

sys.path.pop(0)
SECRETS = {"TELEGRAM_SESSION": "1scripted", "TELEGRAM_API_ID": "12345", "TELEGRAM_API_HASH": "0123456789abcdef"}


class Conversation(unittest.TestCase):
    def call(self, script, *words, environment=None):
        """Runs a command with that script; answers its status, its answer, its events, and what was said to BotFather."""
        with tempfile.TemporaryDirectory() as directory:
            beside = shutil.copytree(HERE / "scripted", Path(directory) / "scripted")
            (beside / "script.json").write_text(json.dumps(script))
            reader, writer = os.pipe()
            given = SECRETS if environment is None else environment
            environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(beside), "PYTHONDONTWRITEBYTECODE": "1", **given}
            done = subprocess.run(
                [sys.executable, CLI, *words],
                env={"SMCP_EVENTS_FD": str(writer), **environment},
                pass_fds=[writer],
                capture_output=True,
                encoding="utf-8",
                timeout=60,
                check=False,
            )
            os.close(writer)
            with os.fdopen(reader) as events:
                events = [json.loads(line) for line in events]
            for token in (TOKEN, OTHER_TOKEN):
                self.assertNotIn(token, done.stdout + done.stderr)
            said = beside / "said.json"
            said = json.loads(said.read_text()) if said.exists() else []
        self.assertNotIn("Traceback", done.stderr)
        return done.returncode, json.loads(done.stdout), events, said

    def succeeds(self, script, *words):
        status, answer, events, said = self.call(script, *words)
        self.assertEqual(0, status, answer)
        return answer, events, said

    def fails(self, code, script, *words, **more):
        status, answer, events, said = self.call(script, *words, **more)
        self.assertEqual((1, False, code), (status, answer["ok"], answer["code"]), answer)
        self.assertFalse([event for event in events if "secret" in event], "nothing was to be stored")
        return answer, said


class Flows(Conversation):
    def test_a_new_bots_token_is_stored_and_not_printed(self):
        answer, events, said = self.succeeds({"late": 1}, "new-bot", "--name", "Tetris", "--username", "@Tetris_bot")
        secret = "TELEGRAM_BOT_TOKEN_TETRIS_BOT"
        self.assertEqual("Created bot @Tetris_bot", answer["result"])
        self.assertEqual(
            ("Tetris_bot", "https://t.me/Tetris_bot", secret), (answer["username"], answer["link"], answer["secret"])
        )
        self.assertIn({"secret": {"name": secret, "value": TOKEN}}, events)
        self.assertEqual(
            [{"progress": n, "total": 3} for n in (1, 2, 3)], [event for event in events if "progress" in event]
        )
        self.assertEqual(["/newbot", "Tetris", "Tetris_bot"], said)

    def test_refusals_have_codes_and_end_the_conversation(self):
        new = ["new-bot", "--name", "Tetris", "--username"]
        for script, username, code, part in [
            ({"taken": ["tetris_bot"]}, "tetris_bot", "username_taken", "choose another username"),
            ({}, "Abot", "username_invalid", "Sorry, this username is invalid."),
            ({"answers": {"a_bot": "Sorry, the username must end in 'bot'. E.g. 'Tetris_bot'"}}, "a_bot", "username_invalid", "ends in"),
            ({"bots": [f"b{n}_bot" for n in range(20)]}, "c_bot", "too_many_bots", "That I cannot do."),
            (
                {"answers": {"Tetris": "Sorry, this isn\N{RIGHT SINGLE QUOTATION MARK}t a proper name for a bot."}},
                "c_bot",
                "name_invalid",
                "choose a name",
            ),
        ]:
            with self.subTest(code=code, username=username):
                answer, said = self.fails(code, script, *new, username)
                self.assertIn(part, answer["error"])
                self.assertEqual("/cancel", said[-1])

    def test_too_many_attempts_say_when_to_try_again(self):
        for step in ["/newbot", "tetris_bot"]:
            with self.subTest(step=step):
                script = {"too_many": {step: 58000}}
                answer, _ = self.fails("too_many_attempts", script, "new-bot", "--name", "T", "--username", "tetris_bot")
                self.assertEqual(58000, answer["retry_after"])
                self.assertIn("58000 seconds", answer["error"])
        answer, _ = self.fails("too_many_attempts", {"answers": {"/mybots": "Sorry, too many attempts."}}, "list-bots")
        self.assertEqual(60, answer["retry_after"])
        answer, _ = self.fails("too_many_attempts", {"flood": 33}, "list-bots")
        self.assertEqual(33, answer["retry_after"], "Telegram's own limit")

    def test_an_unknown_reply_is_quoted_without_tokens_and_the_conversation_cancelled(self):
        strange = f"Hello! We have moved to another wording, and your token is {TOKEN}."
        answer, said = self.fails("unexpected_reply", {"answers": {"T": strange}}, "new-bot", "--name", "T", "--username", "t_bot")
        self.assertIn("We have moved to another wording, and your token is [token].", answer["error"])
        self.assertEqual(["/newbot", "T", "/cancel"], said)
        script = {"answers": {"t_bot": "Done! Congratulations on your new bot. Your token comes by mail."}}
        answer, _ = self.fails("unexpected_reply", script, "new-bot", "--name", "T", "--username", "t_bot")
        self.assertIn("no token", answer["error"])

    def test_a_description_is_set_for_the_bot_that_was_chosen(self):
        script = {"bots": ["a_bot", "Tetris_bot"]}
        answer, _, said = self.succeeds(
            script, "set-description", "--username", "tetris_BOT", "--description", "Falling blocks.\nThat is all."
        )
        self.assertEqual("Set the description of @tetris_BOT", answer["result"])
        self.assertEqual(
            ["/setdescription", "@Tetris_bot", "Falling blocks.\nThat is all."], said, "chosen by the text of its button"
        )
        command = ["set-description", "--username", "other_bot", "--description", "x"]
        answer, said = self.fails("bot_not_found", script, *command)
        self.assertEqual(["/setdescription", "@other_bot", "/cancel"], said)
        self.fails("bot_not_found", {}, *command)

    def test_commands_are_set_as_a_list(self):
        commands = [{"command": "start", "description": "Begin\nanew"}, {"command": "/stop", "description": "End"}]
        answer, _, said = self.succeeds(
            {"bots": ["a_bot"]}, "set-commands", "--username", "a_bot", "--commands", json.dumps(commands)
        )
        self.assertEqual("start - Begin anew\nstop - End", said[-1])
        self.assertEqual("stop", answer["commands"][1]["command"])
        for wrong, part in [
            ([{"command": "Start", "description": "x"}], "commands[0].command must be 1 to 32 of a-z"),
            ([{"command": "a"}], "commands[0] must be"),
            ([{"command": "a", "description": ""}], "commands[0].description"),
            ([{"command": f"c{n}", "description": "x"} for n in range(101)], "between 1 and 100"),
        ]:
            with self.subTest(part=part):
                words = ["set-commands", "--username", "a_bot", "--commands", json.dumps(wrong)]
                answer, said = self.fails("invalid_arguments", {"bots": ["a_bot"]}, *words)
                self.assertIn(part, answer["error"])
                self.assertEqual([], said, "refused before anything was said")

    def test_all_pages_of_bots_are_listed(self):
        bots = [f"b{n}_bot" for n in range(14)]
        answer, _, said = self.succeeds({"bots": bots}, "list-bots")
        self.assertEqual([f"@{bot}" for bot in bots], answer["bots"])
        self.assertEqual(["/mybots"], said)
        self.assertEqual([], self.succeeds({}, "list-bots")[0]["bots"])

    def test_a_replaced_token_is_stored_and_not_printed(self):
        answer, events, said = self.succeeds({"bots": ["a_bot"]}, "revoke-token", "--username", "a_bot")
        self.assertEqual("TELEGRAM_BOT_TOKEN_A_BOT", answer["secret"])
        self.assertIn({"secret": {"name": answer["secret"], "value": OTHER_TOKEN}}, events)
        self.assertEqual(["/revoke", "@a_bot"], said)

    def test_nothing_is_begun_where_the_token_could_not_be_stored(self):
        for words in (["new-bot", "--name", "T", "--username", "t_bot"], ["revoke-token", "--username", "a_bot"]):
            with self.subTest(words=words):
                done = subprocess.run(
                    [sys.executable, CLI, *words],
                    env={"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE / "scripted"), **SECRETS},
                    capture_output=True,
                    encoding="utf-8",
                    timeout=30,
                    check=False,
                )
                self.assertEqual("secret_not_stored", json.loads(done.stdout)["code"])


class Messages(Conversation):
    def test_a_message_is_sent_and_its_reply_heard(self):
        answer, _, said = self.succeeds({}, "send-message", "--message", "/newbot")
        self.assertEqual("Sent message: /newbot", answer["result"])
        self.assertTrue(answer["reply"]["text"].startswith("Alright, a new bot."))
        self.assertEqual((["/newbot"], 101), (said, answer["message_id"]))
        self.fails("invalid_arguments", {}, "send-message", "--message", " ")

    def test_replies_are_shown_oldest_first_without_tokens(self):
        script = {"before": [["one"], [f"Use this token: {TOKEN}"], ["three", [["A", "B"], ["C"]]]]}
        answer, _, _ = self.succeeds(script, "get-replies", "--limit", "2")
        self.assertEqual(["Use this token: [token]", "three"], [message["text"] for message in answer["messages"]])
        self.assertEqual([["A", "B"], ["C"]], answer["messages"][1]["buttons"])
        self.assertEqual((103, "2026-01-02T03:04:05+00:00"), (answer["messages"][1]["id"], answer["messages"][1]["date"]))
        for limit in ("0", "51"):
            self.fails("invalid_arguments", {}, "get-replies", "--limit", limit)

    def test_a_button_is_clicked_by_its_text_or_its_place(self):
        script = {"before": [["old"], ["Choose", [["@a_bot", "@b_bot"], ["API Token"]]]]}
        click = ["click-button", "--msg-id", "102"]
        answer, _, _ = self.succeeds(script, *click, "--button-text", "@b_bot")
        self.assertEqual("Clicked button @b_bot on message 102", answer["result"])
        self.assertTrue(answer["reply"]["text"].startswith("Here it is: @b_bot."))
        self.assertEqual([["API Token", "Edit Bot"], ["Payments"]], answer["reply"]["buttons"])
        answer, _, _ = self.succeeds(script, *click, "--row", "1", "--col", "0")
        self.assertEqual("Here is the token for bot:\n\n[token]", answer["reply"]["text"])
        answer, _ = self.fails("button_not_found", script, *click, "--button-text", "Payments")
        self.assertIn("'@a_bot', '@b_bot'; 'API Token'", answer["error"])
        self.fails("button_not_found", script, *click, "--row", "2", "--col", "0")
        self.fails("button_not_found", script, "click-button", "--msg-id", "101", "--row", "0", "--col", "0")
        self.fails("message_not_found", script, "click-button", "--msg-id", "1", "--row", "0", "--col", "0")
        for wrong in ([], ["--row", "1"], ["--button-text", "x", "--row", "1", "--col", "1"]):
            answer, _ = self.fails("invalid_arguments", script, *click, *wrong)
            self.assertIn("Missing required arguments", answer["error"])


class Surroundings(Conversation):
    def test_what_an_operator_has_to_do_is_said(self):
        for code, script, environment, part in [
            ("secret_missing", {}, {}, "TELEGRAM_SESSION"),
            ("session_invalid", {"authorized": False}, None, "smcp telegram login"),
            ("session_invalid", {}, {**SECRETS, "TELEGRAM_SESSION": "nonsense"}, "smcp telegram login"),
            ("secret_invalid", {}, {**SECRETS, "TELEGRAM_API_ID": "x"}, "TELEGRAM_API_ID"),
            ("telegram_unreachable", {"unreachable": True}, None, "smcp plugins list"),
        ]:
            with self.subTest(code=code, script=script):
                answer, _ = self.fails(code, script, "list-bots", environment=environment)
                self.assertIn(part, answer["error"])

    def test_without_telethon_it_is_described_and_says_how_to_install_it(self):
        # Nothing but the standard library.
        alone = [sys.executable, "-E", "-S", CLI]
        described = subprocess.run([*alone, "--describe"], capture_output=True, encoding="utf-8", timeout=30, check=True)
        commands = {command["name"]: command for command in json.loads(described.stdout)["commands"]}
        self.assertEqual(8, len(commands))
        self.assertEqual(["TELEGRAM_BOT_TOKEN_*"], commands["new-bot"]["stores"])
        destructive = [name for name, command in commands.items() if command["annotations"]["destructiveHint"]]
        self.assertEqual(["send-message", "click-button", "revoke-token"], destructive)
        called = subprocess.run([*alone, "list-bots"], capture_output=True, encoding="utf-8", timeout=30, check=False)
        answer = json.loads(called.stdout)
        self.assertEqual((1, "telethon_missing"), (called.returncode, answer["code"]))
        self.assertIn("pip install -r botfather/requirements.txt", answer["error"])


if __name__ == "__main__":
    unittest.main()
