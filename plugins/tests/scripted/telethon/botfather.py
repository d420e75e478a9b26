"""BotFather: the wording and the buttons of the real one, its refusals included."""

TOKEN = "7123456789:AAH-scripted_token_of_no_bot_4567890"
OTHER_TOKEN = "7123456789:AAH-another_token_of_no_bot_123456"
ASK_NAME = "Alright, a new bot. How are we going to call it? Please choose a name for your bot."
ASK_USERNAME = (
    "Good. Now let's choose a username for your bot. It must end in `bot`. Like this, for example: TetrisBot or tetris_bot."
)
CREATED = """Done! Congratulations on your new bot. You will find it at t.me/{username}. You can now add a description, about section \
and profile picture for your bot, see /help for a list of commands. By the way, when you've finished creating your cool bot, ping our \
Bot Support if you want a better username for it. Just make sure the bot is fully operational before you do this.

Use this token to access the HTTP API:
{token}
Keep your token secure and store it safely, it can be used by anyone to control your bot.

For a description of the Bot API, see this page: https://core.telegram.org/bots/api"""
ASK_DESCRIPTION = (
    "OK. Send me the new description for the bot. People will see this description when they open a chat with your bot, in a block "
    "titled 'What can this bot do?'."
)
ASK_COMMANDS = (
    "OK. Send me a list of commands for your bot. Please use this format:\n\ncommand1 - Description\ncommand2 - Another description"
    "\n\nSend /empty to keep the list empty."
)
BAD_COMMANDS = (
    "Sorry, the list of commands is invalid. Please use this format:\n\ncommand1 - Description\ncommand2 - Another description"
)
CHOICES = {
    "/setdescription": "Choose a bot to change description.",
    "/setcommands": "Choose a bot to change the list of commands.",
    "/revoke": "Choose a bot to generate a new token. Warning: your old token will stop working.",
}
PAGE = 6


class BotFather:
    """Answers as its script says: `bots` there are, names that are `taken`, `too_many` seconds to wait at a step, `answers` of its own
    to a text, `silent` at a text, and so many looks that its replies are `late`."""

    def __init__(self, script):
        self.script, self.bots = script, list(script.get("bots", []))
        self.step, self.page, self.waiting = None, 0, []

    def told(self, text):
        if text == self.script.get("silent"):
            return
        reply = self.script.get("answers", {}).get(text)
        reply = (reply,) if reply else self.reply(text)
        self.waiting.append([self.script.get("late", 0), reply])

    def passes(self):
        for entry in self.waiting:
            entry[0] -= 1

    def due(self):
        due = [reply for looks, reply in self.waiting if looks < 0]
        self.waiting = [entry for entry in self.waiting if entry[0] >= 0]
        return due

    def reply(self, text):
        throttled = self.script.get("too_many", {}).get(text)
        if throttled:
            return (f"Sorry, too many attempts. Please try again in {throttled} seconds.",)
        if text.startswith("/"):
            return self.command(text)
        step, self.step = self.step, None
        if step is None:
            return ("Unrecognized command. Say what?",)
        return getattr(self, step)(text)

    def command(self, text):
        step, self.step = self.step, None
        if text == "/cancel":
            if step is None:
                return ("No active command to cancel. I wasn't doing anything anyway. Zzzzz...",)
            return ("The command has been cancelled. Anything else I can do for you?\n\nSend /help for a list of commands.",)
        if text == "/newbot":
            if len(self.bots) >= 20:
                return ("That I cannot do.",)
            self.step = "named"
            return (ASK_NAME,)
        if text == "/mybots":
            self.page = 0
            return ("Choose a bot from the list below:", self.listed()) if self.bots else ("You have currently no bots",)
        if text in CHOICES:
            if not self.bots:
                return ("You don't have any bots yet. Use the /newbot command to create a new bot first.",)
            self.step = "chosen_" + text[1:]
            return (CHOICES[text], [[f"@{bot}"] for bot in self.bots], False)
        return ("Unrecognized command. Say what?",)

    def named(self, name):
        if len(name) > 64:
            self.step = "named"
            return ("Sorry, this isn't a proper name for a bot.",)
        self.step = "called"
        return (ASK_USERNAME,)

    def called(self, username):
        self.step = "called"
        if not username.lower().endswith("bot"):
            return ("Sorry, the username must end in 'bot'. E.g. 'Tetris_bot' or 'Tetrisbot'",)
        if len(username) < 5:
            return ("Sorry, this username is invalid.",)
        if username in self.script.get("taken", []):
            return ("Sorry, this username is already taken. Please try something different.",)
        self.step = None
        self.bots.append(username)
        return (CREATED.format(username=username, token=TOKEN),)

    def chosen_setdescription(self, name):
        return self.chosen(name, "described", (ASK_DESCRIPTION,))

    def chosen_setcommands(self, name):
        return self.chosen(name, "commanded", (ASK_COMMANDS,))

    def chosen_revoke(self, name):
        replaced = f"Your token was replaced with a new one. You can use this token to access HTTP API:\n{OTHER_TOKEN}"
        return self.chosen(name, None, (replaced,))

    def chosen(self, name, step, reply):
        if name.removeprefix("@") not in self.bots:
            return ("Invalid bot selected.",)
        self.step = step
        return reply

    def described(self, text):
        if len(text) > 512:
            return ("Sorry, the description you provided is invalid. A description may not exceed 512 characters.",)
        return ("Success! Description updated. You will be able to see the changes within a few minutes. /help",)

    def commanded(self, text):
        if any(" - " not in line for line in text.split("\n")):
            self.step = "commanded"
            return (BAD_COMMANDS,)
        return ("Success! Command list updated. /help",)

    def listed(self):
        shown = self.bots[self.page * PAGE : (self.page + 1) * PAGE]
        rows = [[f"@{bot}" for bot in shown[at : at + 2]] for at in range(0, len(shown), 2)]
        turns = (["«"] if self.page else []) + (["»"] if len(self.bots) > (self.page + 1) * PAGE else [])
        return rows + [turns] if turns else rows

    def clicked(self, text):
        """What a click on an inline button answers, and what the message becomes."""
        if text in ("«", "»"):
            self.page += 1 if text == "»" else -1
            return None, ("Choose a bot from the list below:", self.listed())
        if text == "API Token":
            return None, (f"Here is the token for bot:\n\n{TOKEN}", [["Revoke current token"], ["« Back to Bot"]])
        if text.startswith("@"):
            return None, (f"Here it is: {text}.\nWhat do you want to do with the bot?", [["API Token", "Edit Bot"], ["Payments"]])
        return "Nothing happens.", None
