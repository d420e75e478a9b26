"""Telethon's sessions that are texts."""


class StringSession:
    def __init__(self, text=None):
        if text and text[0] != "1":
            raise ValueError("Not a valid string")
        self.dc_id = 2

    def set_dc(self, dc_id, server_address, port):
        self.server_address = server_address

    def save(self):
        return "1the+session/of=a_scripted_login"
