"""The shapes in which a program may print a value: twenty of them, as others would write them."""

import base64
import json
import sys
import urllib.parse


def within(value, before, encode):
    """The value encoded as a part of something longer."""
    return encode(b"x" * before + value.encode() + b"yyy").decode()


def shapes(value):
    raw = value.encode()
    quote = urllib.parse.quote
    return [
        value,
        base64.b64encode(raw).decode(),
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        *(within(value, before, base64.b64encode) for before in range(3)),
        *(within(value, before, base64.urlsafe_b64encode) for before in range(3)),
        raw.hex(),
        raw.hex().upper(),
        quote(value),
        quote(value, safe=""),
        urllib.parse.quote_plus(value).lower() if value.lower() == value else urllib.parse.quote_plus(value),
        "".join(f"%{byte:02x}" for byte in raw),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1].replace("/", "\\/"),
        value + "\n",
    ]


if __name__ == "__main__":
    print(json.dumps([shapes(value) for value in sys.argv[1:]]))
