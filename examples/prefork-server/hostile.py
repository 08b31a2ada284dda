#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# hostile.py PORT: sends to a server what no browser sends, and checks each answer. Prints a line for each thing that was
# answered in another way, and at the end how many were tried. Exit status 1 if there was such a line.
import random
import socket
import sys
import time

PORT = int(sys.argv[1])
GET = b"GET /counters HTTP/1.1\r\nHost: x\r\n"
HEAD_SECONDS = 5  # what the server grants a request's head

tried = 0
wrong = 0


def connect():
    return socket.create_connection(("127.0.0.1", PORT), timeout=20)


def read_all(connection):
    """Everything until the server closes."""
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def check(name, condition):
    global tried, wrong
    tried += 1
    if not condition:
        wrong += 1
        print(f"WRONG: {name}")


def refused(name, sent, status):
    """The request is answered with that status, once, and the connection is closed."""
    with connect() as connection:
        connection.sendall(sent)
        answer = read_all(connection)
    check(f"{name}: {answer[:60]!r}", answer.startswith(b"HTTP/1.1 %d " % status) and answer.count(b"HTTP/1.1") == 1)


def refusals():
    refused("no HTTP", b"\x16\x03\x01\x02\x00\r\n\r\n", 400)
    refused("one word", b"GET\r\n\r\n", 400)
    refused("no path", b"GET x HTTP/1.1\r\nHost: x\r\n\r\n", 400)
    refused("HTTP/9", b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 505)
    refused("no host", b"GET / HTTP/1.1\r\n\r\n", 400)
    refused("a zero byte", GET + b"X: a\0b\r\n\r\n", 400)
    refused("a bare line feed", GET + b"X: a\nY: b\r\n\r\n", 400)
    refused("a folded header", GET + b"X: a\r\n b\r\n\r\n", 400)
    refused("a header without a name", GET + b": a\r\n\r\n", 400)
    refused("a space before the colon", GET + b"X : a\r\n\r\n", 400)
    refused("a body", GET + b"Content-Length: 4\r\n\r\nbody", 413)
    refused("a chunked body", GET + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 413)
    refused("a huge head", GET + b"X: " + b"a" * 100_000 + b"\r\n\r\n", 431)
    refused("nothing but line breaks", b"\r\n" * 10_000, 431)
    refused("a method of the future", b"BREW /counters HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405)


def pipeline():
    """Many requests in one go, in pieces that end anywhere."""
    requests = (GET + b"\r\n") * 99 + GET + b"Connection: close\r\n\r\n"
    with connect() as connection:
        for at in range(0, len(requests), 77):
            connection.sendall(requests[at : at + 77])
        check("100 requests at once", read_all(connection).count(b"HTTP/1.1 200 OK") == 100)


def noise():
    """Random bytes, and requests with a few random bytes in them. Any answer will do, and none."""
    dice = random.Random(20261123)
    for i in range(300):
        sent = bytearray(GET + b"X-Key: somebody\r\nConnection: close\r\n\r\n")
        if i % 3 == 0:
            sent = bytearray(dice.randbytes(dice.randrange(1, 2000)))
        for _ in range(dice.randrange(4)):
            sent[dice.randrange(len(sent))] = dice.randrange(256)
        with connect() as connection:
            connection.sendall(sent)
            if i % 2:
                connection.shutdown(socket.SHUT_WR)
                read_all(connection)


def slow_talkers():
    """Connections that never finish their head are closed in time, and do not keep others from being served."""
    talkers = [connect() for _ in range(200)]
    begun = time.monotonic()
    for talker in talkers:
        talker.sendall(b"GET / HT")
    with connect() as connection:
        connection.sendall(GET + b"Connection: close\r\n\r\n")
        check("served beside 200 slow talkers", read_all(connection).startswith(b"HTTP/1.1 200"))
    # One goes on talking: a byte every now and then buys no time.
    talkers[0].settimeout(0.5)
    while True:
        try:
            talkers[0].sendall(b"x")
            if talkers[0].recv(1) == b"":
                break
        except TimeoutError:
            if time.monotonic() - begun > 3 * HEAD_SECONDS:
                break
        except OSError:
            break
    seconds = time.monotonic() - begun
    check(f"slow talkers closed after {seconds:.1f} s", HEAD_SECONDS - 1 < seconds < 3 * HEAD_SECONDS)
    for talker in talkers:
        talker.close()


def main():
    refusals()
    pipeline()
    noise()
    slow_talkers()
    print(f"{tried} hostile things tried, {wrong} answered wrongly")
    sys.exit(1 if wrong else 0)


main()
