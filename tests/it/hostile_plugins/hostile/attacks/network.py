"""Whoever can be reached."""

import os
import socket

from . import attempt

MPTCP, SCTP, AF_VSOCK = 262, 132, 40
MSG_FASTOPEN, TCP_FASTOPEN_CONNECT = 0x20000000, 30
WORD = b"hostile"


def reach(plan):
    """Connect, send and listen in every way."""
    achieved = {}
    for name, port in plan["ports"].items():
        here, there = ("127.0.0.1", port), ("::1", port)
        achieved[name] = {
            "tcp": attempt(connect, socket.AF_INET, here),
            "tcp6": attempt(connect, socket.AF_INET6, there),
            "mapped": attempt(connect, socket.AF_INET6, ("::ffff:127.0.0.1", port)),
            "mptcp": attempt(connect, socket.AF_INET, here, MPTCP),
            "sctp": attempt(connect, socket.AF_INET, here, SCTP),
            "fastopen": attempt(fast_open, here),
            "fastopen in a message": attempt(fast_open_message, here),
            "fastopen and connect": attempt(fast_connect, here),
            "udp": attempt(datagram, here),
        }
    return {
        "ports": achieved,
        "unix": {
            "path": attempt(connect, socket.AF_UNIX, plan["path"]),
            "abstract": attempt(connect, socket.AF_UNIX, "\0" + plan["abstract"]),
            "datagram": attempt(socket.socket, socket.AF_UNIX, socket.SOCK_DGRAM),
        },
        "kinds": {
            "raw": attempt(socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
            "packet": attempt(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0),
            "netlink": attempt(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW, 0),
            "vsock": attempt(socket.socket, AF_VSOCK, socket.SOCK_STREAM, 0),
            "alg": attempt(socket.socket, socket.AF_ALG, socket.SOCK_SEQPACKET, 0),
            "bluetooth": attempt(socket.socket, socket.AF_BLUETOOTH, socket.SOCK_STREAM, 3),
            "pair of inet": attempt(socket.socketpair, socket.AF_INET, socket.SOCK_STREAM),
        },
        "listen": attempt(listen),
        "pair": attempt(socket.socketpair),
    }


def connect(family, address, protocol=0):
    with socket.socket(family, socket.SOCK_STREAM, protocol) as client:
        client.settimeout(5)
        client.connect(address)
        client.sendall(WORD)


def fast_open(address):
    with socket.socket() as client:
        client.settimeout(5)
        client.sendto(WORD, MSG_FASTOPEN, address)


def fast_open_message(address):
    with socket.socket() as client:
        client.settimeout(5)
        client.sendmsg([WORD], [], MSG_FASTOPEN, address)


def fast_connect(address):
    with socket.socket() as client:
        client.settimeout(5)
        client.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
        client.connect(address)
        client.sendall(WORD)


def datagram(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(WORD, address)


def listen():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()


def tunnel(plan):
    """Ask the proxy, and go past it."""
    proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    if not proxy:
        return {"proxy": None}
    credentials, _, address = proxy.removeprefix("http://").rstrip("/").rpartition("@")
    host, _, port = address.rpartition(":")
    answers = {to: ask((host, int(port)), credentials, to) for to in plan["destinations"]}
    stranger = ask((host, int(port)), "", plan["destinations"][-1])
    return {"answers": answers, "without a key": stranger, "past it": attempt(connect, socket.AF_INET, ("127.0.0.1", plan["port"]))}


def ask(proxy, credentials, to):
    """The status of a CONNECT, and what came through."""
    from base64 import b64encode

    key = f"Proxy-Authorization: Basic {b64encode(credentials.encode()).decode()}\r\n" if credentials else ""
    try:
        with socket.create_connection(proxy, 10) as client:
            client.sendall(f"CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{key}\r\n".encode())
            answer = b""
            while b"\r\n\r\n" not in answer and (part := client.recv(4096)):
                answer += part
            status = answer.split(b" ", 2)[1].decode()
            if status == "200":
                client.sendall(WORD)
            return status
    except OSError as error:
        return str(error)


COMMANDS = {"reach": reach, "tunnel": tunnel}
