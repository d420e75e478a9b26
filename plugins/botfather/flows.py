"""Conversations with BotFather, over any client that can send, wait and click (`telegram.Chat` is the real one).

Each is checked step by step. What ends one before its end also cancels it at BotFather's, so that the next does not fall into it.
"""

import contextlib

import replies
from smcp_plugin import Failure, progress

CANCEL_S = 5
# More pages than any account has bots for.
MOST_PAGES = 100
NEXT_PAGE = "\N{RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK}"


class Silence(Exception):
    """BotFather has not answered in time."""


class Talk:
    """A conversation, from its command to its last reply. Used as a context, it is cancelled where it does not come to its end."""

    def __init__(self, chat, steps):
        self.chat, self.steps, self.done = chat, steps, 0

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, error, trace):
        if error is None:
            return
        with contextlib.suppress(Exception):
            await self.chat.send("/cancel")
            await self.chat.reply(CANCEL_S)
        if isinstance(error, Silence):
            raise Failure(
                "no_reply",
                "BotFather has not answered in time, and the conversation was cancelled; get-replies shows what it says, and "
                "whether something came of it",
            ) from None

    async def say(self, text, *expected):
        """Says something and answers the reply, which must be one of those."""
        await self.chat.send(text)
        return self.heard(await self.chat.reply(), *expected)

    async def choose(self, offer, username, *expected):
        """Chooses a bot by its button below the message `offer`; where there is none, BotFather is told its name, and judges."""
        place = offer.place_of(f"@{username}")
        if place is None:
            await self.chat.send(f"@{username}")
        else:
            await self.chat.click(offer, *place)
        return self.heard(await self.chat.reply(), *expected)

    def heard(self, message, *expected):
        replies.expect(message.text, *expected)
        self.done += 1
        progress(self.done, self.steps)
        return message


async def new_bot(chat, name, username, keep):
    """Makes a bot; `keep` takes its token."""
    async with Talk(chat, 3) as talk:
        await talk.say("/newbot", replies.ASK_NAME)
        await talk.say(name, replies.ASK_USERNAME)
        created = await talk.say(username, replies.CREATED)
        keep(replies.token_in(created.text))


async def set_description(chat, username, description):
    async with Talk(chat, 3) as talk:
        offer = await talk.say("/setdescription", replies.CHOOSE_FOR_DESCRIPTION)
        await talk.choose(offer, username, replies.ASK_DESCRIPTION)
        await talk.say(description, replies.DESCRIPTION_SET)


async def set_commands(chat, username, commands):
    listed = "\n".join(f"{command['command']} - {command['description']}" for command in commands)
    async with Talk(chat, 3) as talk:
        offer = await talk.say("/setcommands", replies.CHOOSE_FOR_COMMANDS)
        await talk.choose(offer, username, replies.ASK_COMMANDS)
        await talk.say(listed, replies.COMMANDS_SET)


async def revoke_token(chat, username, keep):
    """Replaces the token of a bot; `keep` takes the new one."""
    async with Talk(chat, 2) as talk:
        offer = await talk.say("/revoke", replies.CHOOSE_FOR_TOKEN)
        replaced = await talk.choose(offer, username, replies.TOKEN_REPLACED)
        keep(replies.token_in(replaced.text))


async def list_bots(chat):
    """The usernames of the account's bots, each with its `@`."""
    async with Talk(chat, None) as talk:
        page = await talk.say("/mybots", replies.BOTS, *replies.NO_BOTS)
        bots = []
        for _ in range(MOST_PAGES):
            bots += [button for row in page.buttons for button in row if button.startswith("@") and button not in bots]
            place = page.place_of(NEXT_PAGE)
            if place is None:
                break
            await chat.click(page, *place)
            page = talk.heard(await chat.changed(page), replies.BOTS)
        return bots
