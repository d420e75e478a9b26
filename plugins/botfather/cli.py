#!/usr/bin/env python3
"""Telegram's BotFather as tools: single messages, and conversations that are checked step by step."""

import asyncio
import contextlib
import os
import re
from typing import Annotated, Optional

import flows
import telegram
from replies import struck
from smcp_plugin import Failure, Option, Plugin, log, store_secret

# How long something may come of a message or a click that nobody has said what to expect of.
GLANCE_S = 10
SECRETS = ["TELEGRAM_SESSION", "TELEGRAM_API_ID", "TELEGRAM_API_HASH"]
TOKEN_SECRET = "TELEGRAM_BOT_TOKEN_"
COMMAND = re.compile(r"[a-z0-9_]{1,32}")
MOST_COMMANDS = 100
MOST_CHARACTERS = {"name": 64, "description": 512, "message": 4096}

plugin = Plugin(
    "botfather",
    version="1.0.0",
    description="Makes and keeps Telegram bots by talking to BotFather, as the account that an operator has logged in with.",
    secrets=SECRETS,
    sandbox={
        "network": {"mode": "proxy", "allow": [f"{address}:{telegram.PORT}" for address in telegram.CENTRES.values()]},
        "filesystem": {"read": [], "write": []},
        "env": {"allow": []},
    },
)

Username = Annotated[str, Option("The bot's username, with or without its @", pattern="^@?[A-Za-z][A-Za-z0-9_]{1,31}$")]
ANYTHING = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False, "openWorldHint": True}
ADDS = {**ANYTHING, "destructiveHint": False}
SETS = {**ADDS, "idempotentHint": True}
READS = {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": True}


@plugin.command(name="send-message", effect="once", timeout_seconds=90, annotations=ANYTHING, output="json")
def send_message(message: Annotated[str, "What to say"]):
    """Say something to BotFather, and hear what it answers within a few seconds. What it is told it does: bots can be deleted so."""
    message = sendable("message", message, may_command=True)

    async def talk(chat):
        number = await chat.send(message)
        return {"result": f"Sent message: {struck(message)}", "message_id": number, "reply": await glance(chat)}

    return run(talk)


@plugin.command(name="get-replies", effect="read_only", timeout_seconds=90, annotations=READS, output="json")
def get_replies(limit: Annotated[int, Option("How many", minimum=1, maximum=50)] = 10):
    """The last messages of BotFather, oldest first, each with its id and its buttons; tokens of bots are struck out."""
    if not 1 <= limit <= 50:
        raise Failure("invalid_arguments", f"limit is {limit}; it must be between 1 and 50")

    async def talk(chat):
        messages = [message.shown() for message in await chat.latest(limit)]
        return {"result": f"{len(messages)} messages", "messages": messages}

    return run(talk)


@plugin.command(name="click-button", effect="once", timeout_seconds=90, annotations=ANYTHING, output="json")
def click_button(
    msg_id: Annotated[int, "The id of the message, from get-replies"],
    button_text: Annotated[Optional[str], "The button's text; or give its row and col"] = None,
    row: Annotated[Optional[int], Option("Its row, from 0", minimum=0)] = None,
    col: Annotated[Optional[int], Option("Its place in the row, from 0", minimum=0)] = None,
):
    """Click a button below a message of BotFather's. What it stands for is done at once: bots can be deleted so."""
    if (button_text is None) == (row is None and col is None) or (row is None) != (col is None):
        raise Failure("invalid_arguments", "Missing required arguments: msg-id, and either button-text or row and col")

    async def talk(chat):
        await chat.latest(1)
        message = await chat.message(msg_id)
        if message is None or message.client_message.out:
            raise Failure("message_not_found", f"there is no message {msg_id} of BotFather's; get-replies tells their ids")
        place = message.place_of(button_text) if button_text is not None else (row, col)
        if place is None or not (0 <= place[0] < len(message.buttons) and 0 <= place[1] < len(message.buttons[place[0]])):
            there = "; ".join(", ".join(f"'{struck(text)}'" for text in texts) for texts in message.buttons) or "none"
            raise Failure("button_not_found", f"message {msg_id} has no such button; its buttons, row by row, are: {there}")
        text = message.buttons[place[0]][place[1]]
        said = await chat.click(message, *place)
        answer = said if isinstance(said, str) else getattr(said, "message", None)
        then = await chat.either(message, GLANCE_S)
        return {
            "result": f"Clicked button {struck(text)} on message {msg_id}",
            "answer": struck(answer) if isinstance(answer, str) else None,
            "reply": then.shown() if then else None,
        }

    return run(talk)


@plugin.command(
    name="new-bot", effect="once", timeout_seconds=180, annotations=ADDS, output="json", stores=[TOKEN_SECRET + "*"]
)
def new_bot(
    name: Annotated[str, "The name that people see"],
    username: Annotated[str, Option("Its username, which ends in 'bot'", pattern="^@?[A-Za-z][A-Za-z0-9_]{1,28}[Bb][Oo][Tt]$")],
):
    """Make a bot. Its token is stored as the secret TELEGRAM_BOT_TOKEN_USERNAME for the calls of the same agent, and shown to nobody."""
    name, username = sendable("name", name), username.removeprefix("@")
    secret = Keeper(username)
    run(lambda chat: flows.new_bot(chat, name, username, secret.keep))
    return {
        "result": f"Created bot @{username}",
        "username": username,
        "name": name,
        "link": f"https://t.me/{username}",
        "secret": secret.name,
    }


@plugin.command(name="set-description", effect="idempotent", timeout_seconds=180, annotations=SETS, output="json")
def set_description(username: Username, description: Annotated[str, "The text, of at most 512 characters"]):
    """Set what people see in a chat with a bot before they have started it."""
    description, username = sendable("description", description), username.removeprefix("@")
    run(lambda chat: flows.set_description(chat, username, description))
    return {"result": f"Set the description of @{username}", "username": username}


@plugin.command(name="set-commands", effect="idempotent", timeout_seconds=180, annotations=SETS, output="json")
def set_commands(
    username: Username,
    commands: Annotated[list[dict], 'All of them, each as {"command": "start", "description": "Begin"}'],
):
    """Set the commands that a bot suggests, in the place of those before."""
    commands, username = list(checked(commands)), username.removeprefix("@")
    run(lambda chat: flows.set_commands(chat, username, commands))
    return {"result": f"Set {len(commands)} commands of @{username}", "username": username, "commands": commands}


@plugin.command(name="list-bots", effect="read_only", timeout_seconds=300, annotations=READS, output="json")
def list_bots():
    """The usernames of the account's bots."""
    bots = run(flows.list_bots)
    return {"result": f"{len(bots)} bots", "bots": bots}


@plugin.command(
    name="revoke-token",
    effect="once",
    timeout_seconds=180,
    annotations=ANYTHING,
    output="json",
    stores=[TOKEN_SECRET + "*"],
)
def revoke_token(username: Username):
    """Replace a bot's token: whatever uses the one before stops working. The new one is stored as new-bot does."""
    username = username.removeprefix("@")
    secret = Keeper(username)
    run(lambda chat: flows.revoke_token(chat, username, secret.keep))
    return {"result": f"Replaced the token of @{username}", "username": username, "secret": secret.name}


class Keeper:
    """Takes the token of a bot to the secrets. Made before the conversation, which is not begun where there are none."""

    def __init__(self, username):
        self.name = TOKEN_SECRET + username.upper()
        if "SMCP_EVENTS_FD" not in os.environ:
            raise Failure("secret_not_stored", "the token could not be stored: the plugin is not run by SMCP")

    def keep(self, token):
        store_secret(self.name, token)
        log(f"the token is stored as {self.name}")


def run(talk):
    """Holds a conversation with BotFather, from the connection to its end."""
    telegram.require_telethon()
    session, api_id, api_hash = map(plugin.secret, SECRETS)

    async def whole():
        async with telegram.chat(session, api_id, api_hash, os.environ) as chat:
            return await talk(chat)

    return asyncio.run(whole())


async def glance(chat):
    """What BotFather says next, if it says something soon."""
    with contextlib.suppress(flows.Silence):
        return (await chat.reply(GLANCE_S)).shown()
    return None


def sendable(what, text, may_command=False):
    """A text that BotFather will take for what it is meant to be."""
    text, most = text.strip(), MOST_CHARACTERS[what]
    if not 1 <= len(text) <= most:
        raise Failure("invalid_arguments", f"{what} has {len(text)} characters; it must have between 1 and {most}")
    if text.startswith("/") and not may_command:
        raise Failure("invalid_arguments", f"{what} must not begin with '/': BotFather would take it for a command")
    return text


def checked(commands):
    """The commands of a bot, as BotFather takes them."""
    if not 1 <= len(commands) <= MOST_COMMANDS:
        raise Failure("invalid_arguments", f"there are {len(commands)} commands; there must be between 1 and {MOST_COMMANDS}")
    for number, command in enumerate(commands):
        name, text = (command.get(key) for key in ("command", "description"))
        if set(command) != {"command", "description"} or not isinstance(name, str) or not isinstance(text, str):
            raise Failure("invalid_arguments", f'commands[{number}] must be {{"command": "...", "description": "..."}}')
        name, text = name.removeprefix("/"), " ".join(text.split())
        if not COMMAND.fullmatch(name):
            raise Failure("invalid_arguments", f"commands[{number}].command must be 1 to 32 of a-z, 0-9 and _")
        if not 1 <= len(text) <= 256:
            raise Failure("invalid_arguments", f"commands[{number}].description must have between 1 and 256 characters")
        yield {"command": name, "description": text}


if __name__ == "__main__":
    plugin.main()
