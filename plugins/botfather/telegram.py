"""The chat with BotFather, by Telethon, as a person's account: BotFather talks to no bots.

Replies are asked for rather than waited for as updates: a session that is a text knows nothing of the updates before it.
"""

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from flows import Silence
from replies import struck
from smcp_plugin import Failure

try:
    import python_socks  # noqa: F401: Telethon needs it to go by a proxy, and imports it if it is there
    import telethon
    from telethon.sessions import StringSession
except ImportError as error:
    telethon, missing = None, error

BOTFATHER = "BotFather"
# Where each of Telegram's data centres is reached; a session names one of them. Others are not in the plugin's allow-list.
CENTRES = {1: "149.154.175.53", 2: "149.154.167.51", 3: "149.154.175.100", 4: "149.154.167.91", 5: "91.108.56.130"}
PORT = 443
# What comes of no connection, or of one to something else than Telegram.
UNREACHABLE = OSError, EOFError, BufferError, asyncio.TimeoutError
CONNECT_S = 30
REPLY_S = 30
POLL_S = 0.5
# What may have been said between a message of ours and the one after it.
NEW_MESSAGES = 20


@dataclass
class Message:
    """A message of BotFather's."""

    id: int
    text: str
    buttons: list = field(default_factory=list)
    date: object = None
    client_message: object = None

    @classmethod
    def of(cls, message):
        """As Telethon has it; the text is as it was written, without marks for bold and the like."""
        rows = [[button.text or "" for button in row] for row in message.buttons or []]
        return cls(message.id, message.message or "", rows, message.date, message)

    def place_of(self, text):
        """The row and column of the first button with that text, in whatever case; `None` where there is none."""
        for i, row in enumerate(self.buttons):
            for j, button in enumerate(row):
                if button.casefold() == text.casefold():
                    return i, j
        return None

    def shown(self):
        """What an answer shows of it, tokens struck out."""
        return {
            "id": self.id,
            "date": self.date.isoformat() if self.date else None,
            "text": struck(self.text),
            "buttons": [[struck(button) for button in row] for row in self.buttons],
        }


class Chat:
    """The chat with BotFather: what conversations need of a client."""

    def __init__(self, client, peer=BOTFATHER, poll_s=POLL_S, reply_s=REPLY_S):
        self.client, self.peer, self.poll_s, self.reply_s = client, peer, poll_s, reply_s
        # Nothing before counts as a reply.
        self.seen = 0

    async def send(self, text):
        """Says something, as it is; answers the message's id."""
        sent = await self.client.send_message(self.peer, text, parse_mode=None, link_preview=False)
        self.seen = max(self.seen, sent.id)
        return sent.id

    async def reply(self, timeout_s=None):
        """The next message of BotFather's; `Silence` where none comes in time."""

        async def newer():
            messages = await self.client.get_messages(self.peer, limit=NEW_MESSAGES, min_id=self.seen, reverse=True)
            return next((message for message in messages if not message.out), None)

        message = await self.until(newer, timeout_s)
        self.seen = message.id
        return Message.of(message)

    async def click(self, message, row, column):
        """Clicks a button; answers what Telegram says to that, a text or an address to open, or nothing."""
        said = await message.client_message.click(row, column)
        # A button of the keyboard says its text.
        if getattr(said, "id", None) and getattr(said, "out", False):
            self.seen = max(self.seen, said.id)
        return said

    async def changed(self, message, timeout_s=None):
        """A message as BotFather has changed it; `Silence` where it has not, in time."""

        async def other():
            now = await self.message(message.id)
            is_other = now and (now.text, now.buttons) != (message.text, message.buttons)
            return now if is_other else None

        return await self.until(other, timeout_s)

    async def either(self, message, timeout_s):
        """What comes of a click: the message changed, or a new one; `None` where nothing does in time."""

        async def something():
            for what in (self.reply(0), self.changed(message, 0)):
                with contextlib.suppress(Silence):
                    return await what
            return None

        with contextlib.suppress(Silence):
            return await self.until(something, timeout_s)
        return None

    async def message(self, number):
        """The message of that number; `None` where there is none."""
        message = await self.client.get_messages(self.peer, ids=number)
        return Message.of(message) if message else None

    async def latest(self, count):
        """The last messages of BotFather's, oldest first."""
        # Of a conversation at most every other is ours.
        messages = await self.client.get_messages(self.peer, limit=2 * count + 2)
        if messages:
            self.seen = max(self.seen, messages[0].id)
        theirs = [Message.of(message) for message in messages if not message.out]
        return theirs[:count][::-1]

    async def until(self, found, timeout_s=None):
        end = time.monotonic() + (self.reply_s if timeout_s is None else timeout_s)
        while True:
            if (what := await found()) is not None:
                return what
            if time.monotonic() >= end:
                raise Silence
            await asyncio.sleep(min(self.poll_s, max(0, end - time.monotonic())))


@contextlib.asynccontextmanager
async def chat(session, api_id, api_hash, environment):
    """The chat, from the connection to its end; whatever Telegram has to say against it becomes a `Failure`."""
    require_telethon()
    client = client_of(session, api_id, api_hash, environment)
    with translated():
        try:
            try:
                is_known = await asyncio.wait_for(connected(client), CONNECT_S)
            except UNREACHABLE as error:
                # Nothing has been said yet.
                raise unreachable(error, retryable=True) from error
            if not is_known:
                raise lapsed("Telegram does not know the session any more")
            # Resolved once a call, and not once a message.
            yield Chat(client, await client.get_input_entity(BOTFATHER))
        finally:
            with contextlib.suppress(Exception):
                await client.disconnect()


async def connected(client):
    await client.connect()
    return await client.is_user_authorized()


def require_telethon():
    if telethon is None:
        raise Failure(
            "telethon_missing",
            f"Telethon is not installed for this plugin ({missing}). In the plugins directory: python3 -m venv botfather/.venv "
            "&& botfather/.venv/bin/pip install -r botfather/requirements.txt, then: smcp plugins reload",
        )


def client_of(session, api_id, api_hash, environment):
    """A client that says at once what it cannot do, instead of waiting for it."""
    if not api_id.strip().isdecimal():
        raise Failure("secret_invalid", "the secret TELEGRAM_API_ID is not a number; log in anew with: smcp telegram login")
    try:
        session = StringSession(session.strip())
    except Exception:
        raise lapsed("the secret TELEGRAM_SESSION is no session of Telethon's") from None
    if session.dc_id in CENTRES:
        session.set_dc(session.dc_id, CENTRES[session.dc_id], PORT)
    # What it finds on its way, over and over; what comes of it is a failure of the call.
    for name in ("telethon", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return telethon.TelegramClient(
        session,
        int(api_id),
        api_hash.strip(),
        proxy=proxy_of(environment),
        flood_sleep_threshold=0,
        connection_retries=1,
        request_retries=2,
        # It would be tried for ever, and at once, where something else than Telegram answers.
        auto_reconnect=False,
        receive_updates=False,
    )


def proxy_of(environment):
    """The proxy that HTTPS_PROXY names, as Telethon wants it."""
    url = environment.get("HTTPS_PROXY")
    if not url:
        return None
    parts = urlsplit(url)
    name, password = (unquote(part) if part else None for part in (parts.username, parts.password))
    return {"proxy_type": "http", "addr": parts.hostname, "port": parts.port, "username": name, "password": password}


@contextlib.contextmanager
def translated():
    """Makes failures of Telethon's errors."""
    try:
        yield
    except telethon.errors.FloodWaitError as error:
        raise Failure(
            "too_many_attempts",
            f"Telegram wants no more requests of this account for {error.seconds} seconds",
            retry_after=error.seconds,
        ) from error
    except (telethon.errors.UnauthorizedError, telethon.errors.AuthKeyError, telethon.errors.AuthKeyNotFound) as error:
        raise lapsed(f"Telegram refuses the session ({type(error).__name__})") from error
    except telethon.errors.ApiIdInvalidError as error:
        message = "Telegram does not know TELEGRAM_API_ID with TELEGRAM_API_HASH; log in anew with: smcp telegram login"
        raise Failure("secret_invalid", message) from error
    except telethon.errors.RPCError as error:
        raise Failure("telegram_error", f"Telegram has refused a request: {struck(str(error))}") from error
    except UNREACHABLE as error:
        raise unreachable(error) from error


def lapsed(why):
    return Failure("session_invalid", f"{why}; an operator logs in anew with: smcp telegram login")


def unreachable(error, **advice):
    return Failure(
        "telegram_unreachable",
        f"Telegram cannot be reached ({str(error) or type(error).__name__}). Where the plugin runs in a sandbox it needs the network that it asks for: smcp "
        "plugins list says whether it is granted",
        **advice,
    )
