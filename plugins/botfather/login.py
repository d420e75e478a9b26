#!/usr/bin/env python3
"""Logs in to Telegram as a person, on the terminal, and prints the session for `smcp telegram login`, which stores it.

Questions and what is typed go to the terminal itself. Standard output gets one JSON object at the end, and must be read by a program.
"""

import asyncio
import getpass
import json
import os
import sys

import telegram
from smcp_plugin import Failure

ATTEMPTS = 3


def main():
    try:
        terminal = open("/dev/tty"), open("/dev/tty", "w", buffering=1)
    except OSError:
        sys.exit("this needs a terminal: it asks for what only you know")
    if sys.stdout.isatty():
        sys.exit("the session would be shown: run smcp telegram login instead")
    try:
        telegram.require_telethon()
        account = asyncio.run(logged_in(Questions(*terminal)))
    except Failure as failure:
        sys.exit(str(failure))
    except (EOFError, KeyboardInterrupt):
        sys.exit("nothing was stored")
    print(json.dumps(account))


class Questions:
    """Asks on a terminal, without showing what is typed where that is secret."""

    def __init__(self, typed, shown):
        self.typed, self.shown = typed, shown

    def open(self, question):
        self.shown.write(question)
        self.shown.flush()
        answer = self.typed.readline()
        if not answer:
            raise EOFError
        return answer.strip()

    def hidden(self, question):
        return getpass.getpass(question).strip()

    def say(self, text):
        self.shown.write(text + "\n")


async def logged_in(ask):
    ask.say("The API id and hash of an application are made at https://my.telegram.org/apps")
    api_id, api_hash = ask.open("API id: "), ask.hidden("API hash (not shown): ")
    client = telegram.client_of("", api_id, api_hash, os.environ)
    with telegram.translated():
        try:
            await client.connect()
            await sign_in(client, ask)
            person = await client.get_me()
            name = f"@{person.username}" if person.username else person.first_name
            secrets = {"TELEGRAM_API_ID": api_id, "TELEGRAM_API_HASH": api_hash, "TELEGRAM_SESSION": client.session.save()}
            return {"account": name, "secrets": secrets}
        finally:
            await client.disconnect()


async def sign_in(client, ask):
    """By the code that Telegram sends to the person's other devices, and the password where there is one."""
    errors = telegram.telethon.errors
    phone = ask.open("Phone number, with country code: ")
    try:
        await client.send_code_request(phone)
    except errors.PhoneNumberInvalidError:
        raise Failure("phone_invalid", "Telegram knows no such phone number; give it as +49301234567") from None
    ask.say("Telegram has sent a code to your other devices.")
    for left in reversed(range(ATTEMPTS)):
        try:
            return await client.sign_in(phone, ask.hidden("Code (not shown): "))
        except errors.SessionPasswordNeededError:
            return await password(client, ask)
        except (errors.PhoneCodeInvalidError, errors.PhoneCodeEmptyError):
            again(left, "That is not the code.", ask)
        except errors.PhoneCodeExpiredError:
            raise Failure("code_expired", "the code has expired; begin again") from None
        except errors.PhoneNumberUnoccupiedError:
            raise Failure("phone_invalid", "this number has no Telegram account") from None


async def password(client, ask):
    errors = telegram.telethon.errors
    for left in reversed(range(ATTEMPTS)):
        try:
            return await client.sign_in(password=ask.hidden("Password of the account (not shown): "))
        except (errors.PasswordHashInvalidError, ValueError):
            again(left, "That is not the password.", ask)


def again(left, what, ask):
    if not left:
        raise Failure("refused", f"{what} Nothing was stored; begin again.")
    ask.say(what)


if __name__ == "__main__":
    main()
