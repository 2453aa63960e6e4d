"""A server and clients of HTTP/1.1 over TLS, for what is typed of their requests.

api.py serve CERT KEY ADDRESS:PORT...   one JSON object a connection that has ended: where in both streams each request began
api.py talk ADDRESS:PORT NAME REQUEST...       blocking, one kept-alive connection; REQUEST is `METHOD PATH [BODY BYTES] [pieces]`
api.py loop COUNT ADDRESS:PORT NAME REQUEST ... one event loop, a connection for each triple, COUNT requests each
"""

import asyncio
import base64
import hashlib
import json
import os
import socket
import ssl
import sys
import threading

CANARY = os.environ.get("CANARY", "")
OBJECT = b'{"id": "x", "object": "list", "data": [], "content": [], "candidates": [], "status": "completed"}' + b" " * 100
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


def answer(line, fields, body):
    """What a provider might say: to a WebSocket, in events where they are asked for, else an object."""
    if fields.get(b"upgrade") == b"websocket":
        magic = base64.b64encode(hashlib.sha1(fields[b"sec-websocket-key"] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        return b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n" % magic
    if b'"stream":true' in body.replace(b" ", b"") or b"streamGenerateContent" in line:
        events = b"".join(b"data: {\"n\":%d}\n\n" % n for n in range(20)) + b"data: [DONE]\n\n"
        return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n%s" % (len(events), events)
    return ANSWER % (len(OBJECT), OBJECT)


class Connection:
    """Counts bytes of both streams of one connection, record by record."""

    def __init__(self, context, stream):
        self.stream, self.raw = stream, b""
        self.taken = self.given = 0
        self.inside, self.outside = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.inside, self.outside, server_side=True)

    def flush(self):
        out = self.outside.read()
        if out:
            self.given += len(out)
            self.stream.sendall(out)

    def record(self):
        """Takes in one record; false at the end of the stream."""
        while len(self.raw) < 5 or len(self.raw) < 5 + int.from_bytes(self.raw[3:5], "big"):
            more = self.stream.recv(65536)
            if not more:
                return False
            self.raw += more
        length = 5 + int.from_bytes(self.raw[3:5], "big")
        self.inside.write(self.raw[:length])
        self.raw = self.raw[length:]
        self.taken += length
        return True

    def serve(self):
        requests = []
        try:
            while True:
                try:
                    self.tls.do_handshake()
                    self.flush()
                    break
                except ssl.SSLWantReadError:
                    self.flush()
                    if not self.record():
                        return requests
            plain, begins = b"", None
            while True:
                before = (self.taken, self.given)
                if not self.record():
                    break
                try:
                    got = self.tls.read(1 << 20)
                except ssl.SSLWantReadError:
                    continue
                except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                    break
                if not got:
                    break
                if not plain:
                    begins = before
                plain += got
                head, ended, body = plain.partition(b"\r\n\r\n")
                if not ended:
                    continue
                lines = head.split(b"\r\n")
                fields = {}
                for line in lines[1:]:
                    field, _, value = line.partition(b":")
                    fields[field.lower()] = value.strip()
                length = int(fields.get(b"content-length", 0))
                if fields.get(b"transfer-encoding") == b"chunked":
                    if not body.endswith(b"0\r\n\r\n"):
                        continue
                    length = len(body)
                if len(body) < length:
                    continue
                method, target = lines[0].decode().split(" ")[:2]
                requests.append({"method": method, "target": target, "sent": begins[0], "received": begins[1]})
                plain, body = body[length:], body[:length]
                self.tls.write(answer(lines[0], fields, body))
                self.flush()
        except OSError:
            pass
        return requests


def serve(certificate, key, places):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    out = threading.Lock()

    def one(stream, peer):
        connection = Connection(context, stream)
        requests = connection.serve()
        # What the client still sends is counted too.
        try:
            stream.shutdown(socket.SHUT_WR)
            while more := stream.recv(65536):
                connection.taken += len(more)
        except OSError:
            pass
        stream.close()
        with out:
            print(json.dumps({
                "port": peer[1], "requests": requests, "taken": connection.taken + len(connection.raw), "given": connection.given,
            }), flush=True)

    def accept(listener):
        while True:
            stream, peer = listener.accept()
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=one, args=(stream, peer), daemon=True).start()

    listeners = [socket.create_server(place) for place in places]
    threads = [threading.Thread(target=accept, args=(listener,), daemon=True) for listener in listeners]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    for thread in threads:
        thread.join()


def trusting():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def place(text):
    address, port = text.rsplit(":", 1)
    return address, int(port)


def request(name, text):
    """Head and body of a request, and whether its line goes out in pieces."""
    words = text.split(" ")
    size = int(words[2]) if len(words) > 2 else 0
    target = words[1] + (("?key=" + CANARY) if CANARY else "")
    secret = f"Authorization: Bearer {CANARY}\r\n" if CANARY else ""
    body = (CANARY.encode() + b"b" * size)[:max(size, len(CANARY))]
    head = f"{words[0]} {target} HTTP/1.1\r\nHost: {name}\r\n{secret}Content-Length: {len(body)}\r\n\r\n"
    return head.encode(), body, "pieces" in words


def answer_length(head):
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


def talk(server, name, requests):
    stream = trusting().wrap_socket(socket.create_connection(place(server), 10), server_hostname=name)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for text in requests:
        head, body, pieces = request(name, text)
        if pieces:
            for at in (0, 10, 13):
                stream.sendall(head[at:{0: 10, 10: 13, 13: len(head)}[at]])
        else:
            stream.sendall(head)
        if body:
            stream.sendall(body)
        got = b""
        while b"\r\n\r\n" not in got:
            got += stream.recv(65536)
        head, _, rest = got.partition(b"\r\n\r\n")
        while len(rest) < answer_length(head):
            rest += stream.recv(65536)
    stream.close()


async def loop(count, triples):
    async def one(server, name, text):
        address, port = place(server)
        reader, writer = await asyncio.open_connection(address, port, ssl=trusting(), server_hostname=name)
        head, body, _ = request(name, text)
        for _ in range(count):
            writer.write(head + body)
            await writer.drain()
            got = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(answer_length(got))
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(one(*triple) for triple in triples))


def main():
    mode, arguments = sys.argv[1], sys.argv[2:]
    if mode == "serve":
        serve(arguments[0], arguments[1], [place(text) for text in arguments[2:]])
    elif mode == "talk":
        talk(arguments[0], arguments[1], arguments[2:])
    elif mode == "loop":
        rest = arguments[1:]
        triples = list(zip(rest[0::3], rest[1::3], rest[2::3]))
        asyncio.run(loop(int(arguments[0]), triples))


main()
