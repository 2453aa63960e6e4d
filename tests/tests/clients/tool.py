"""Clients and servers of the tests of names, one a subcommand: TLS with Python's own OpenSSL, hellos cut by hand, plain
requests, dialogues with proxies, DNS. Talks only to the addresses that it is given."""

import socket
import ssl
import struct
import sys
import threading
import time


def context(version):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    exact = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    made.minimum_version = made.maximum_version = exact
    return made


def hello(name, protocols=0):
    """The records of a hello, as OpenSSL writes them."""
    made = context("1.3")
    if protocols:
        made.set_alpn_protocols([f"protocol-{nth:040}" for nth in range(protocols)])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = made.wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def connected(address, port, mss=None):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.settimeout(10)
    if mss:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, mss)
    made.connect((address, port))
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def shares(port, path):
    """Lists the ports of clients whose hellos have a key share of X25519MLKEM768: group 0x11ec, 1,216 bytes."""
    listener = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003))
    sent, listed = {}, set()
    with open(path, "w", buffering=1) as found:
        print("ready", flush=True)
        while True:
            packet = listener.recv(65536)
            if packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_TCP:
                continue
            segment = packet[(packet[0] & 15) * 4 : int.from_bytes(packet[2:4], "big")]
            source, target = struct.unpack("!HH", segment[:4])
            if target != int(port) or source in listed:
                continue
            sent[source] = (sent.get(source, b"") + segment[(segment[12] >> 4) * 4 :])[:4096]
            if b"\x11\xec\x04\xc0" in sent[source]:
                listed.add(source)
                print(source, file=found)


def tls(address, port, name, version):
    with context(version).wrap_socket(connected(address, int(port)), server_hostname=name) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.recv(100)
        print(client.version())


def split(address, port, suffix):
    """One connection for each place where a hello can be cut."""
    places = len(hello(f"k000.{suffix}"))
    for at in range(1, places):
        records = hello(f"k{at:03}.{suffix}")
        with connected(address, int(port)) as client:
            client.sendall(records[:at])
            client.sendall(records[at:])
    print(places - 1)


def bytewise(address, port, name):
    with connected(address, int(port)) as client:
        for byte in hello(name):
            client.sendall(bytes([byte]))


def segments(address, port, name):
    """A hello of some 3 KB in segments of 536 bytes."""
    with connected(address, int(port), mss=536) as client:
        client.sendall(hello(name, protocols=60))


def fastopen(address, port, name):
    MSG_FASTOPEN = 0x20000000
    for _ in range(2):
        # The first brings the cookie, the second has the hello in its SYN.
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.sendto(hello(name), MSG_FASTOPEN, (address, int(port)))
            time.sleep(0.2)


def ech(address, port, outer):
    """A hello with the extension of Encrypted Client Hello (RFC 9849) and this name outside; nobody can open what is inside."""
    records = hello(outer)
    assert records[0] == 22 and len(records) == 5 + int.from_bytes(records[3:5], "big"), "a hello in one record"
    body = records[9:]
    at = 2 + 32
    at += 1 + body[at]
    at += 2 + int.from_bytes(body[at : at + 2], "big")
    at += 1 + body[at]
    # Outer, HKDF-SHA256 with AES-128-GCM, an id, a key, a sealed hello.
    inside = bytes.fromhex("00 0001 0001 2a 0020") + bytes(range(32)) + struct.pack(">H", 208) + bytes(208)
    extensions = body[at + 2 :] + struct.pack(">HH", 0xFE0D, len(inside)) + inside
    body = body[:at] + struct.pack(">H", len(extensions)) + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    with connected(address, int(port)) as client:
        client.sendall(b"\x16\x03\x01" + struct.pack(">H", len(message)) + message)
        print(client.getsockname()[1])


def plain(address, port, name):
    with connected(address, int(port)) as client:
        client.sendall(f"GET /secret?x=y HTTP/1.1\r\nCookie: a=b\r\nHost: {name}\r\n\r\n".encode())


def connect(address, port, name):
    with connected(address, int(port)) as client:
        client.sendall(f"CONNECT {name}:443 HTTP/1.1\r\nProxy-Authorization: Basic c2VjcmV0\r\n\r\n".encode())
        time.sleep(0.1)
        client.sendall(hello(name))


def socks(address, port, name):
    with connected(address, int(port)) as client:
        client.sendall(b"\x05\x01\x02")
        time.sleep(0.1)
        client.sendall(b"\x01\x07qxzuser\x07qxzpass")
        time.sleep(0.1)
        client.sendall(b"\x05\x01\0\x03" + bytes([len(name)]) + name.encode() + b"\x01\xbb")


def by_hand(address, port):
    """Hellos whose names are none; each connection says which it is by its local port's place in the output."""
    names = [
        b"",
        b"a" * 300,
        b"192.0.2.1",
        "\u043epenai.com".encode(),
        b"api.openai.com/x",
        b"xn--penai-0ve.com",
        b"api.openai.com.evil.example",
        b"evilopenai.com",
    ]
    for name in names:
        entry = b"\0" + struct.pack(">H", len(name)) + name
        server_name = struct.pack(">HHH", 0, len(entry) + 2, len(entry)) + entry
        body = b"\3\3" + b"r" * 32 + b"\0" + b"\0\2\x13\1" + b"\1\0" + struct.pack(">H", len(server_name)) + server_name
        message = b"\1" + struct.pack(">I", len(body))[1:] + body
        with connected(address, int(port)) as client:
            client.sendall(b"\x16\3\1" + struct.pack(">H", len(message)) + message)
            print(client.getsockname()[1], name.decode(errors="replace")[:40])


def banner(address, port):
    """A protocol that names nobody."""
    with connected(address, int(port)) as client:
        client.sendall(b"SSH-2.0-test\r\n")
        print(client.getsockname()[1])


def sink(port):
    """Takes in whatever comes, from anybody, for as long as it runs."""
    listener = socket.create_server(("", int(port)), family=socket.AF_INET, backlog=512)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)

    def drain(client):
        with client:
            client.settimeout(10)
            try:
                while client.recv(4096):
                    pass
            except OSError:
                pass

    print("ready", flush=True)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=drain, args=(client,), daemon=True).start()


def wire(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def record(name, kind, ttl, data):
    return wire(name) + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data


A, CNAME, HTTPS = 1, 5, 65


def answers(question, kind, addresses):
    """What the zones say: `chain` is eight aliases long, `short` lives for no time, two names share an address."""
    first, second, third, fourth = addresses
    address = socket.inet_aton
    if question == "chain.example":
        names = ["chain.example"] + [f"n{nth}.example" for nth in range(7)] + ["bedrock-runtime.us-east-1.amazonaws.com"]
        chain = [record(owner, CNAME, 300, wire(target)) for owner, target in zip(names, names[1:])]
        return chain + [record(names[-1], A, 300, address(first))]
    if question in ("api.openai.com", "api.mistral.ai"):
        return [record(question, A, 300, address(second))]
    if question == "api.groq.com":
        return [record(question, A, 0, address(third))]
    if question == "api.anthropic.com" and kind == HTTPS:
        hints = struct.pack(">HH", 4, 4) + address(fourth)
        return [record(question, HTTPS, 300, struct.pack(">H", 1) + b"\0" + hints)]
    return []


def reply(query, addresses):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    (kind,) = struct.unpack(">H", query[at + 1 : at + 3])
    found = answers(".".join(labels).lower(), kind, addresses)
    head = query[:2] + b"\x81\x80" + struct.pack(">HHHH", 1, len(found), 0, 0)
    return head + query[12 : at + 5] + b"".join(found)


def dns(own, *addresses):
    """A name server of the zones above at one of the host's addresses, over UDP and TCP."""
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind((own, 53))
    listener = socket.create_server((own, 53))

    def over_tcp():
        while True:
            client, _ = listener.accept()
            with client:
                client.settimeout(10)
                (length,) = struct.unpack(">H", client.recv(2))
                message = reply(client.recv(length), addresses)
                # In two segments, the length apart from the message.
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client.sendall(struct.pack(">H", len(message)))
                time.sleep(0.05)
                client.sendall(message[:20])
                time.sleep(0.05)
                client.sendall(message[20:])

    threading.Thread(target=over_tcp, daemon=True).start()
    print("ready", flush=True)
    while True:
        query, client = datagrams.recvfrom(4096)
        datagrams.sendto(reply(query, addresses), client)


def resolve(server, name, kind="A", transport="udp"):
    query = b"\0\7\1\0" + struct.pack(">HHHH", 1, 0, 0, 0) + wire(name) + struct.pack(">HH", {"A": A, "HTTPS": HTTPS}[kind], 1)
    if transport == "tcp":
        with connected(server, 53) as client:
            client.sendall(struct.pack(">H", len(query)) + query)
            (length,) = struct.unpack(">H", client.recv(2))
            got = b""
            while len(got) < length:
                got += client.recv(length - len(got))
    else:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(10)
            client.sendto(query, (server, 53))
            got = client.recv(4096)
    print(struct.unpack(">H", got[6:8])[0])


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
