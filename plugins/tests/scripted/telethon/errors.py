"""Those of Telethon's errors that the plugin knows."""


class RPCError(Exception):
    pass


class UnauthorizedError(RPCError):
    pass


class AuthKeyError(RPCError):
    pass


class AuthKeyNotFound(Exception):
    pass


class ApiIdInvalidError(RPCError):
    pass


class FloodWaitError(RPCError):
    def __init__(self, seconds):
        super().__init__(f"A wait of {seconds} seconds is required")
        self.seconds = seconds


class SessionPasswordNeededError(RPCError):
    pass


class PasswordHashInvalidError(RPCError):
    pass


class PhoneCodeEmptyError(RPCError):
    pass


class PhoneCodeExpiredError(RPCError):
    pass


class PhoneCodeInvalidError(RPCError):
    pass


class PhoneNumberInvalidError(RPCError):
    pass


class PhoneNumberUnoccupiedError(RPCError):
    pass
