"""The plugin botfather and Telethon itself: its methods as they are called, its sessions, and its way through a proxy."""

import asyncio
import base64
import inspect
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLUGIN = str(HERE.parent / "botfather")
sys.path.insert(0, PLUGIN)
import flows  # noqa: E402
import telegram  # noqa: E402
from smcp_plugin import Failure  # noqa: E402

sys.path.remove(PLUGIN)
NEEDS_TELETHON = unittest.skipIf(telegram.telethon is None, "tests/run installs Telethon")


def session(centre, address):
    """A session that Telethon takes, with a key that opens nothing."""
    import struct

    packed = struct.pack(">B4sH256s", centre, bytes(map(int, address.split("."))), 443, bytes(range(256)))
    return "1" + base64.urlsafe_b64encode(packed).decode()


@NEEDS_TELETHON
class Telethon(unittest.TestCase):
    def test_its_methods_take_what_they_are_given(self):
        from telethon import TelegramClient
        from telethon.tl.custom.message import Message

        for method, arguments, named in [
            (TelegramClient.send_message, ["peer", "text"], {"parse_mode": None, "link_preview": False}),
            # What get_messages passes on.
            (TelegramClient.iter_messages, ["peer"], {"limit": 20, "min_id": 7, "reverse": True}),
            (TelegramClient.iter_messages, ["peer"], {"ids": 7}),
            (TelegramClient.get_input_entity, ["BotFather"], {}),
            (TelegramClient.connect, [], {}),
            (TelegramClient.disconnect, [], {}),
            (TelegramClient.is_user_authorized, [], {}),
            (TelegramClient.start, [], {"phone": 1, "code_callback": 1, "password": 1, "max_attempts": 3}),
            (Message.click, [0, 1], {}),
        ]:
            with self.subTest(method=method.__name__):
                inspect.signature(method).bind(None, *arguments, **named)
        self.assertIsInstance(Message.buttons, property)

    def test_its_errors_are_known(self):
        errors = telegram.telethon.errors
        for error, code in [
            (errors.FloodWaitError(None, capture=33), "too_many_attempts"),
            (errors.AuthKeyUnregisteredError(None), "session_invalid"),
            (errors.SessionRevokedError(None), "session_invalid"),
            (errors.AuthKeyDuplicatedError(None), "session_invalid"),
            (errors.UserDeactivatedBanError(None), "session_invalid"),
            (errors.AuthKeyNotFound(), "session_invalid"),
            (errors.ApiIdInvalidError(None), "secret_invalid"),
            (errors.PeerIdInvalidError(None), "telegram_error"),
            (ConnectionError("Connection to Telegram failed 1 time(s)"), "telegram_unreachable"),
        ]:
            with self.subTest(error=type(error).__name__), self.assertRaises(Failure) as raised, telegram.translated():
                raise error
            self.assertEqual(code, raised.exception.answer["code"])
            if code == "too_many_attempts":
                self.assertEqual(33, raised.exception.answer["retry_after"])

    def test_a_session_leads_to_the_address_that_the_plugin_may_reach(self):
        async def client():
            return telegram.client_of(session(5, "91.108.56.199"), "12345", "0123456789abcdef", {})

        client = asyncio.run(client())
        self.assertEqual((5, "91.108.56.130", 443), (client.session.dc_id, client.session.server_address, client.session.port))
        self.assertEqual(bytes(range(256)), client.session.auth_key.key)
        self.assertIsNone(client._proxy)

    def refused_by(self, answers):
        """The failure of a call by a proxy that answers so, and what the proxy was asked first."""
        asked = []

        async def proxy(reader, writer):
            asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
            for answer in answers:
                writer.write(answer)
                await writer.drain()
                await reader.read(1)
            writer.close()

        async def call():
            server = await asyncio.start_server(proxy, "127.0.0.1", 0)
            url = f"http://smcp:s%2Fecret@127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with server:
                async with telegram.chat(session(2, "149.154.167.50"), "12345", "abcd", {"HTTPS_PROXY": url}):
                    self.fail("it is connected")

        with self.assertRaises(Failure) as raised:
            asyncio.run(call())
        return raised.exception.answer, asked

    def test_it_connects_by_the_proxy_of_the_environment(self):
        answer, asked = self.refused_by([b"HTTP/1.1 403 Forbidden\r\n\r\n"])
        self.assertEqual(("telegram_unreachable", True), (answer["code"], answer["retryable"]))
        self.assertTrue(asked[0].startswith("CONNECT 149.154.167.51:443 HTTP/1.1\r\n"), asked)
        self.assertIn("Proxy-Authorization: Basic " + base64.b64encode(b"smcp:s/ecret").decode(), asked[0])

    def test_what_answers_in_the_place_of_telegram_is_not_asked_for_ever(self):
        answer, asked = self.refused_by([b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"])
        self.assertEqual("telegram_unreachable", answer["code"], answer)
        self.assertLess(len(asked), 10)


class Silent:
    """A client behind which nobody answers."""

    def __init__(self):
        self.said = []

    async def send_message(self, peer, text, **_options):
        self.said.append(text)
        return Said(len(self.said))

    async def get_messages(self, peer, **_options):
        return [Said(number + 1) for number in range(len(self.said))]


class Said:
    out, message, buttons, date = True, "", None, None

    def __init__(self, number):
        self.id = number


class Silence(unittest.TestCase):
    def test_a_botfather_who_does_not_answer_is_not_waited_for_for_ever(self):
        client = Silent()
        flows_cancel, flows.CANCEL_S = flows.CANCEL_S, 0.02
        self.addCleanup(setattr, flows, "CANCEL_S", flows_cancel)
        chat = telegram.Chat(client, poll_s=0.005, reply_s=0.02)
        with self.assertRaises(Failure) as raised:
            asyncio.run(flows.new_bot(chat, "Tetris", "tetris_bot", self.fail))
        self.assertEqual("no_reply", raised.exception.answer["code"])
        self.assertEqual(["/newbot", "/cancel"], client.said)


if __name__ == "__main__":
    unittest.main()
