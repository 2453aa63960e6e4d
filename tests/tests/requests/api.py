"""A server and clients of HTTP/1.1 and, where there is `h2`, HTTP/2 over TLS, for what is typed of their requests.

api.py serve CERT KEY ADDRESS:PORT...   one JSON object a connection that has ended: where in both streams each request began
api.py talk ADDRESS:PORT NAME REQUEST...       blocking, one kept-alive connection; REQUEST is `METHOD PATH [BODY BYTES] [pieces]`
api.py pipeline ADDRESS:PORT NAME REQUEST...   the same, but no request waits for the answer to the one before
api.py loop COUNT ADDRESS:PORT NAME REQUEST ... one event loop, a connection for each triple, COUNT requests each
api.py streams COUNT WIDTH ADDRESS:PORT NAME REQUEST...       HTTP/2, one connection, WIDTH streams at the same time, COUNT requests by turns
api.py huffman TEXT
api.py confined ADDRESS:PORT NAME REQUEST...   as talk, but killed by the kernel for any system call that talking does not need
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
import time

try:
    import h2.config
    import h2.connection
    import h2.events
    import h2.settings
except ImportError:
    h2 = None

CANARY = os.environ.get("CANARY", "")
PAUSE = float(os.environ.get("PAUSE", "0"))
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
            if self.tls.selected_alpn_protocol() == "h2":
                self.serve_streams(requests)
                return requests
            self.serve_requests(requests)
        except OSError:
            pass
        return requests

    def read(self):
        """What one record says, which may be nothing; `None` at the end of the stream."""
        if not self.record():
            return None
        try:
            return self.tls.read(1 << 20) or None
        except ssl.SSLWantReadError:
            return b""
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return None

    def write(self, data):
        self.tls.write(data)
        self.flush()

    def serve_requests(self, requests):
        plain, begins = b"", None
        while True:
            before = (self.taken, self.given)
            got = self.read()
            if got is None:
                break
            if not got:
                continue
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
            if b"?paced" in lines[0]:
                self.write_paced()
            else:
                self.write(answer(lines[0], fields, body))

    def write_paced(self):
        """A header, and some time later an answer in pieces."""
        self.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 100\r\n\r\n")
        time.sleep(0.3)
        for _ in range(10):
            self.write(b"data: 123\n")
            time.sleep(0.04)

    def serve_streams(self, requests):
        http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        http.initiate_connection()
        # Clients may fill their sockets.
        http.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1 << 30})
        http.increment_flow_control_window(1 << 30)
        taken = {}
        while True:
            if out := http.data_to_send():
                self.tls.write(out)
                self.flush()
            before = (self.taken, self.given)
            if not self.record():
                return
            while True:
                try:
                    got = self.tls.read(1 << 20)
                except ssl.SSLWantReadError:
                    break
                except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                    return
                if not got:
                    return
                for event in http.receive_data(got):
                    if isinstance(event, h2.events.RequestReceived):
                        fields = dict(event.headers)
                        requests.append({
                            "method": fields[b":method"].decode(), "target": fields[b":path"].decode(),
                            "sent": before[0], "received": before[1], "stream": event.stream_id,
                        })
                    elif isinstance(event, h2.events.DataReceived):
                        http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                        taken[event.stream_id] = taken.get(event.stream_id, 0) + len(event.data)
                        if taken[event.stream_id] > 1 << 20:
                            # Once a body: its client's socket is full meanwhile.
                            time.sleep(0.5)
                            taken[event.stream_id] = -1 << 40
                    elif isinstance(event, h2.events.StreamEnded):
                        http.send_headers(event.stream_id, [(":status", "200"), ("content-type", "application/json")])
                        http.send_data(event.stream_id, OBJECT, end_stream=True)


class PlainConnection(Connection):
    """Encrypts nothing."""

    def __init__(self, stream):
        self.stream, self.raw = stream, b""
        self.taken = self.given = 0

    def serve(self):
        requests = []
        try:
            self.serve_requests(requests)
        except OSError:
            pass
        return requests

    def read(self):
        got = self.stream.recv(65536)
        self.taken += len(got)
        return got or None

    def write(self, data):
        self.given += len(data)
        self.stream.sendall(data)


PLAIN_PORT = 80


def serve(certificate, key, places):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if h2:
        context.set_alpn_protocols(["h2", "http/1.1"])
    context.load_cert_chain(certificate, key)
    out = threading.Lock()

    def one(stream, peer):
        is_plain = stream.getsockname()[1] == PLAIN_PORT
        connection = PlainConnection(stream) if is_plain else Connection(context, stream)
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
    # Some of it beyond what a line has room for.
    padding = "p" * 400
    secret = f"Authorization: Bearer {CANARY}\r\nX-Padding: {padding}\r\nX-Api-Key: {CANARY}\r\n" if CANARY else ""
    body = (CANARY.encode() + b"b" * size)[:max(size, len(CANARY))]
    head = f"{words[0]} {target} HTTP/1.1\r\nHost: {name}\r\n{secret}Content-Length: {len(body)}\r\n\r\n"
    return head.encode(), body, "pieces" in words


def answer_length(head):
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


def pipeline(server, name, requests):
    """Each request in a write of its own, before any answer is read."""
    stream = socket.create_connection(place(server), 10)
    if place(server)[1] != PLAIN_PORT:
        stream = trusting().wrap_socket(stream, server_hostname=name)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for text in requests:
        head, body, _ = request(name, text)
        stream.sendall(head + body)
    got = b""
    while got.count(b"HTTP/1.1 200") < len(requests) or not got.endswith(OBJECT):
        got += stream.recv(65536)
    stream.close()


def talk(server, name, requests, confined=False):
    stream = socket.create_connection(place(server), 10)
    if place(server)[1] != PLAIN_PORT:
        stream = trusting().wrap_socket(stream, server_hostname=name)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if confined:
        confine()
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


def streams(count, width, server, name, lines):
    context = trusting()
    context.set_alpn_protocols(["h2"])
    stream = context.wrap_socket(socket.create_connection(place(server), 10), server_hostname=name)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    http = h2.connection.H2Connection()
    http.initiate_connection()
    made = ended = 0
    while ended < count:
        while made < count and made - ended < width:
            words = lines[made % len(lines)].split(" ")
            target = words[1] + (("?key=" + CANARY) if CANARY else "")
            target = target.replace("{n}", str(made))
            body = CANARY.encode() + b"b" * int(words[2] if len(words) > 2 else 0)
            time.sleep(PAUSE)
            fields = [(":method", words[0]), (":authority", name), (":scheme", "https"), (":path", target), ("x-nth", str(made % 100))]
            if CANARY:
                fields.append(("authorization", "Bearer " + CANARY))
            number = http.get_next_available_stream_id()
            http.send_headers(number, fields, end_stream=not body)
            if body:
                http.send_data(number, body, end_stream=True)
            made += 1
            stream.sendall(http.data_to_send())
        got = stream.recv(65536)
        if not got:
            raise SystemExit("the server has closed the connection")
        for event in http.receive_data(got):
            if isinstance(event, h2.events.StreamEnded):
                ended += 1
            elif isinstance(event, h2.events.DataReceived):
                http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        stream.sendall(http.data_to_send())
    stream.close()


def huffman(text):
    """What a text is in HPACK's code, whatever stands before it: hexadecimal digits of the bytes that are its own, a line each."""
    from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

    bits = "".join(format(REQUEST_CODES[byte], f"0{REQUEST_CODES_LENGTH[byte]}b") for byte in text.encode())
    for shift in range(8):
        own = bits[shift:]
        own = own[:len(own) // 8 * 8]
        print(int(own, 2).to_bytes(len(own) // 8, "big").hex())


def confine():
    """Whoever makes another system call than these from now on is killed (x86-64)."""
    import ctypes

    READ, WRITE, CLOSE, POLL, MMAP, MPROTECT, MUNMAP, BRK = 0, 1, 3, 7, 9, 10, 11, 12
    SIGRETURN, MREMAP, SENDTO, RECVFROM, FUTEX, GETTIME, EXIT_GROUP, GETRANDOM = 15, 25, 44, 45, 202, 228, 231, 318
    SIGACTION, PPOLL, FSTAT, LSEEK, MADVISE, SHUTDOWN = 13, 271, 5, 8, 28, 48
    allowed = [
        READ, WRITE, CLOSE, POLL, MMAP, MPROTECT, MUNMAP, BRK, SIGRETURN, MREMAP, SENDTO, RECVFROM, FUTEX, GETTIME, EXIT_GROUP,
        GETRANDOM, SIGACTION, PPOLL, FSTAT, LSEEK, MADVISE, SHUTDOWN,
    ]

    class Filter(ctypes.Structure):
        _fields_ = [("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32)]

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_uint16), ("filter", ctypes.POINTER(Filter))]

    LOAD, EQUAL, RETURN, KILL, ALLOW = 0x20, 0x15, 0x06, 0x80000000, 0x7FFF0000
    lines = [(LOAD, 0, 0, 0)]
    lines += [(EQUAL, len(allowed) - nth, 0, number) for nth, number in enumerate(allowed)]
    lines += [(RETURN, 0, 0, KILL), (RETURN, 0, 0, ALLOW)]
    filters = (Filter * len(lines))(*(Filter(*line) for line in lines))
    program = Program(len(lines), filters)
    libc = ctypes.CDLL(None, use_errno=True)
    NO_NEW_PRIVS, SECCOMP, MODE_FILTER = 38, 22, 2
    if libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(SECCOMP, MODE_FILTER, ctypes.byref(program)):
        raise OSError(ctypes.get_errno(), "seccomp")


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
    elif mode == "pipeline":
        pipeline(arguments[0], arguments[1], arguments[2:])
    elif mode == "confined":
        talk(arguments[0], arguments[1], arguments[2:], confined=True)
    elif mode == "huffman":
        huffman(arguments[0])
    elif mode == "streams":
        streams(int(arguments[0]), int(arguments[1]), arguments[2], arguments[3], arguments[4:])
    elif mode == "loop":
        rest = arguments[1:]
        triples = list(zip(rest[0::3], rest[1::3], rest[2::3]))
        asyncio.run(loop(int(arguments[0]), triples))


main()
