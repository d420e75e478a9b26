"""Telethon, as far as the plugin uses it, with a scripted BotFather at the other end instead of Telegram.

It is put in the place of the package. What happens in a conversation is in `script.json` beside this package, and what was said in it is
written there, where that may be written to.
"""

import contextlib
import datetime
import json
from pathlib import Path
from types import SimpleNamespace

from . import errors as errors
from .botfather import BotFather

BESIDE = Path(__file__).resolve().parents[1]


class TelegramClient:
    """The client: the methods that the plugin calls, with Telethon's parameters."""

    def __init__(self, session, api_id, api_hash, **options):
        script = json.loads((BESIDE / "script.json").read_text()) if (BESIDE / "script.json").exists() else {}
        self.session, self.options = session, options
        self.father = BotFather(script)
        self.chat = []
        for said in script.get("before", []):
            self.hear(*said)

    async def connect(self):
        if self.father.script.get("unreachable"):
            raise ConnectionError("Connection to Telegram failed 1 time(s)")

    async def disconnect(self):
        said = [message.message for message in self.chat if message.out]
        with contextlib.suppress(OSError):
            (BESIDE / "said.json").write_text(json.dumps(said))

    async def is_user_authorized(self):
        return self.father.script.get("authorized", True)

    async def send_code_request(self, phone):
        if not phone.startswith("+"):
            raise errors.PhoneNumberInvalidError

    async def sign_in(self, phone=None, code=None, *, password=None):
        if password is None and code != "12345":
            raise errors.PhoneCodeInvalidError
        if password is None and self.father.script.get("password"):
            raise errors.SessionPasswordNeededError
        if password is not None and password != self.father.script["password"]:
            raise errors.PasswordHashInvalidError

    async def get_me(self):
        return SimpleNamespace(username="ada", first_name="Ada")

    async def get_input_entity(self, peer):
        assert peer == "BotFather", peer
        return "the peer"

    async def send_message(self, entity, message="", *, parse_mode=(), link_preview=True):
        assert (entity, parse_mode, link_preview) == ("the peer", None, False)
        return self.say(message)

    async def get_messages(self, entity, limit=None, *, min_id=0, reverse=False, ids=None):
        assert entity == "the peer"
        self.father.passes()
        for replies in self.father.due():
            self.hear(*replies)
        if ids is not None:
            return next((message for message in self.chat if message.id == ids), None)
        newer = [message for message in self.chat if message.id > min_id]
        return newer[:limit] if reverse else newer[::-1][:limit]

    def say(self, text):
        flood = self.father.script.get("flood")
        if flood:
            raise errors.FloodWaitError(flood)
        said = Message(self, len(self.chat) + 101, text, out=True)
        self.chat.append(said)
        self.father.told(text)
        return said

    def hear(self, text, buttons=None, inline=True):
        self.chat.append(Message(self, len(self.chat) + 101, text, buttons, inline))


class Message:
    """A message, as Telethon has it."""

    def __init__(self, client, number, text, buttons=None, inline=True, out=False):
        self.client, self.id, self.message, self.inline, self.out = client, number, text, inline, out
        self.date = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
        self.show(buttons)

    def show(self, buttons):
        self.buttons = [[SimpleNamespace(text=text) for text in row] for row in buttons] if buttons else None

    async def click(self, i=None, j=None):
        text = self.buttons[i][j].text
        if not self.inline:
            return self.client.say(text)
        answer, changed = self.client.father.clicked(text)
        if changed:
            self.message = changed[0]
            self.show(changed[1])
        return SimpleNamespace(message=answer)
