"""Those of Telethon's errors that the plugin knows."""


class RPCError(Exception):
    pass


class UnauthorizedError(RPCError):
    pass


class AuthKeyError(RPCError):
    pass


class ApiIdInvalidError(RPCError):
    pass


class FloodWaitError(RPCError):
    def __init__(self, seconds):
        super().__init__(f"A wait of {seconds} seconds is required")
        self.seconds = seconds
