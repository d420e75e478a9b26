"""What BotFather says, and what it means. Nothing here is guessed: what is not known ends a conversation.

The wording is that of the real one, as people quote it. Only its beginning counts, since it has changed at its end over the years.
"""

import re

from smcp_plugin import Failure

# A bot's token: its id, and what is secret. Struck out wider than it is looked for.
TOKEN = re.compile(r"(?<![\w-])\d{6,16}:[A-Za-z0-9_-]{30,64}(?![\w-])")
LIKE_A_TOKEN = re.compile(r"\d{5,}:[A-Za-z0-9_-]{16,}")

ASK_NAME = "Alright, a new bot. How are we going to call it?"
ASK_USERNAME = "Good. Now let's choose a username for your bot."
CREATED = "Done! Congratulations on your new bot."
CHOOSE_FOR_DESCRIPTION = "Choose a bot to change description."
ASK_DESCRIPTION = "OK. Send me the new description for the bot."
DESCRIPTION_SET = "Success! Description updated."
CHOOSE_FOR_COMMANDS = "Choose a bot to change the list of commands."
ASK_COMMANDS = "OK. Send me a list of commands for your bot."
COMMANDS_SET = "Success! Command list updated."
CHOOSE_FOR_TOKEN = "Choose a bot to generate a new token."
TOKEN_REPLACED = "Your token was replaced with a new one."
BOTS = "Choose a bot from the list below"
NO_BOTS = ("You have currently no bots", "You don't have any bots yet.")

# How a refusal begins, the code that it becomes, and what to do.
REFUSALS = [
    ("Sorry, this username is already taken.", "username_taken", "choose another username"),
    (
        "Sorry, the username must end in 'bot'.",
        "username_invalid",
        "choose a username that ends in 'bot', such as tetris_bot",
    ),
    (
        "Sorry, this username is invalid.",
        "username_invalid",
        "choose one of 5 to 32 letters, digits and '_' that begins with a letter and ends in 'bot'",
    ),
    ("Sorry, this isn't a proper name for a bot.", "name_invalid", "choose a name of 1 to 64 characters"),
    ("Invalid bot selected.", "bot_not_found", "list-bots tells the bots of this account"),
    (NO_BOTS[0], "bot_not_found", "this account has no bots; new-bot makes one"),
    (NO_BOTS[1], "bot_not_found", "this account has no bots; new-bot makes one"),
    ("Sorry, the description you provided is invalid.", "description_invalid", "shorten it"),
    ("Sorry the description you provided is invalid.", "description_invalid", "shorten it"),
    (
        "Sorry, the list of commands is invalid.",
        "commands_invalid",
        "commands are lower-case letters, digits and '_', each with a description",
    ),
    ("That I cannot do.", "too_many_bots", "this account has as many bots as it may; delete one, or use another account"),
    (
        "Sorry, you can't add more than",
        "too_many_bots",
        "this account has as many bots as it may; delete one, or use another account",
    ),
]
TOO_MANY = re.compile(r"Sorry, too many attempts\.(?: Please try again in (\d+) (second|minute|hour)s?)?", re.IGNORECASE)
SECONDS = {"second": 1, "minute": 60, "hour": 3600}
# Where BotFather names no time.
PAUSE_S = 60
QUOTED_CHARACTERS = 600


def struck(text):
    """A text without anything that looks like a token."""
    return LIKE_A_TOKEN.sub("[token]", text)


def quoted(text):
    """A text as an error may quote it."""
    text = struck(text).strip()
    return text if len(text) <= QUOTED_CHARACTERS else text[:QUOTED_CHARACTERS] + " ..."


def begins(text, *beginnings):
    """Whether a reply is one of these; BotFather's apostrophes are of either kind."""
    return plain(text).startswith(beginnings)


def plain(text):
    return text.strip().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


def expect(text, *beginnings):
    """Makes sure that a reply is one of these; otherwise `Failure` says what it is instead."""
    if not begins(text, *beginnings):
        raise refusal(text) or Failure(
            "unexpected_reply",
            f"BotFather has answered what this plugin does not know, and the conversation was cancelled: '{quoted(text)}'",
            reply=quoted(text),
        )


def refusal(text):
    """What a known refusal means; `None` for anything else."""
    throttled = TOO_MANY.match(plain(text))
    if throttled:
        count, unit = throttled.groups()
        seconds = int(count) * SECONDS[unit.lower()] if count else PAUSE_S
        return Failure(
            "too_many_attempts",
            f"BotFather wants no more attempts of this account for {seconds} seconds: '{quoted(text)}'",
            retry_after=seconds,
        )
    for beginning, code, advice in REFUSALS:
        if begins(text, beginning):
            return Failure(code, f"BotFather has refused: '{quoted(text)}'; {advice}")
    return None


def token_in(text):
    """The token in a reply that is known to have one."""
    found = TOKEN.search(text)
    if not found:
        raise Failure(
            "unexpected_reply",
            f"BotFather's reply has no token where one belongs: '{quoted(text)}'; revoke-token makes a new one",
            reply=quoted(text),
        )
    return found.group()
