"""Makes foreign.pcapng and foreign.json anew: OpenSSL and Python talk TLS over loopback, as tshark reads it.

Needs root, dumpcap, tshark and openssl.
"""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HERE = Path(__file__).parent
CAPTURE = HERE / "foreign.pcapng"
FIRST_PORT = 20300
"""Below the ports that clients get."""
FIELDS = """
    tcp.stream tcp.srcport tcp.dstport tcp.payload
    tls.record.content_type tls.record.version tls.record.length tls.record.opaque_type
    tls.handshake.type tls.handshake.version tls.handshake.session_id tls.handshake.ciphersuite
    tls.handshake.extensions_server_name tls.handshake.extensions_alpn_str
    tls.handshake.extensions.supported_version tls.handshake.certificate tls.handshake.dnames
    tls.handshake.sig_hash_alg tls.alert_message.level tls.alert_message.desc
    x509ce.dNSName x509af.serialNumber
"""


def make_certificates(folder: Path) -> None:
    """ca, server (signed by it), client (signed by it), stranger (by itself)."""
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "server", "client", "stranger")}
    names = {
        name: x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "工厂"), x509.NameAttribute(NameOID.COMMON_NAME, name)]
        )
        for name in keys
    }
    for name, key in keys.items():
        signer = name if name == "stranger" else "ca"
        builder = (
            x509.CertificateBuilder()
            .subject_name(names[name])
            .issuer_name(names[signer])
            .public_key(key.public_key())
            .serial_number(0x1000 + len(name))
            .not_valid_before(datetime(2026, 1, 1))  # noqa: DTZ001
            .not_valid_after(datetime(2056, 1, 1))  # noqa: DTZ001
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        if name == "server":
            alternatives = [x509.DNSName("broker.plant"), x509.DNSName("localhost")]
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        signed = builder.sign(keys[signer], hashes.SHA256())
        pem, none = serialization.Encoding.PEM, serialization.NoEncryption()
        (folder / f"{name}.pem").write_bytes(signed.public_bytes(pem))
        (folder / f"{name}.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, none))


def with_openssl(folder: Path, port: int, server: str, client: str) -> None:
    """One conversation of s_server and s_client."""
    s_server = subprocess.Popen(
        f"openssl s_server -accept {port} -naccept 1 -cert server.pem -key server.key -CAfile ca.pem {server}".split(),
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert s_server.stdout is not None
    while b"ACCEPT" not in s_server.stdout.readline():
        pass
    subprocess.run(
        f"openssl s_client -connect 127.0.0.1:{port} -CAfile ca.pem -verify_return_error {client}".split(),
        cwd=folder,
        input=b"a question of the client\nQ\n",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=10,
        check=False,
    )
    s_server.communicate(timeout=10)


def with_python(folder: Path, port: int, version: ssl.TLSVersion, ca: str, alpn: list[str], name: str | None) -> None:
    """One conversation of two Python programs."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "server.pem", folder / "server.key")
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asking.load_verify_locations(folder / ca)
    asking.check_hostname = name is not None
    for context in (serving, asking):
        context.minimum_version = context.maximum_version = version
        if alpn:
            context.set_alpn_protocols(alpn)
    listener = socket.create_server(("127.0.0.1", port))

    def serve() -> None:
        plain, _ = listener.accept()
        try:
            with serving.wrap_socket(plain, server_side=True) as secured:
                secured.sendall(secured.recv(100) * 300)
                secured.unwrap().close()
        except (ssl.SSLError, OSError) as error:
            print("server:", error)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with asking.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname=name) as secured:
            secured.sendall(bytes(100))
            while secured.recv(4096):
                pass
            secured.unwrap().close()
    except (ssl.SSLError, OSError) as error:
        print("client:", error)
    thread.join()
    listener.close()


STORIES: dict[str, Callable[[Path, int], None]] = {
    "openssl 1.2": lambda f, p: with_openssl(f, p, "-tls1_2 -alpn mqtt", "-servername broker.plant -alpn mqtt,h2"),
    "openssl 1.3": lambda f, p: with_openssl(f, p, "-tls1_3 -alpn mqtt", "-servername broker.plant -alpn mqtt,h2"),
    "python 1.2": lambda f, p: with_python(f, p, ssl.TLSVersion.TLSv1_2, "ca.pem", ["http/1.1"], "localhost"),
    "python 1.3": lambda f, p: with_python(f, p, ssl.TLSVersion.TLSv1_3, "ca.pem", ["http/1.1"], "localhost"),
    "python without a name": lambda f, p: with_python(f, p, ssl.TLSVersion.TLSv1_2, "ca.pem", [], None),
    "python 1.2, a stranger": lambda f, p: with_python(f, p, ssl.TLSVersion.TLSv1_2, "stranger.pem", [], None),
    "python 1.3, a stranger": lambda f, p: with_python(f, p, ssl.TLSVersion.TLSv1_3, "stranger.pem", [], None),
    "mutual 1.2": lambda f, p: with_openssl(f, p, "-tls1_2 -Verify 1", "-cert client.pem -key client.key"),
    "mutual 1.3": lambda f, p: with_openssl(f, p, "-tls1_3 -Verify 1", "-cert client.pem -key client.key"),
    "mutual, no certificate": lambda f, p: with_openssl(f, p, "-tls1_2 -Verify 1", ""),
    "mutual, a stranger": lambda f, p: with_openssl(
        f, p, "-tls1_2 -Verify 1 -verify_return_error", "-cert stranger.pem -key stranger.key"
    ),
    "mutual 1.1": lambda f, p: with_openssl(
        f,
        p,
        "-tls1_1 -Verify 1 -cipher ALL:@SECLEVEL=0",
        "-tls1_1 -cert client.pem -key client.key -cipher ALL:@SECLEVEL=0",
    ),
    "no version in common": lambda f, p: with_openssl(f, p, "-tls1_3", "-tls1_2"),
    "no cipher in common": lambda f, p: with_openssl(
        f, p, "-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA", "-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384"
    ),
    "asked for another hello": lambda f, p: with_openssl(f, p, "-tls1_3 -groups P-521", "-groups X25519:P-521"),
    "small records": lambda f, p: with_openssl(
        f, p, "-tls1_2 -Verify 1 -max_send_frag 512", "-cert client.pem -key client.key -max_send_frag 512"
    ),
}


def describe() -> list[dict[str, object]]:
    """Per story and direction: the bytes, and every field's values in their order."""
    decode_as = [w for n in range(len(STORIES)) for w in ("-d", f"tcp.port=={FIRST_PORT + n},tls")]
    fields = FIELDS.split()
    command = ["tshark", "-r", str(CAPTURE), *decode_as, "-Y", "tcp.payload", "-T", "json"]
    command += [word for field in fields for word in ("-e", field)]
    stories: dict[int, dict[str, dict[str, list[str]]]] = {}
    for each in json.loads(subprocess.check_output(command)):
        layers = each["_source"]["layers"]
        source, destination = (int(layers[f"tcp.{end}port"][0]) for end in ("src", "dst"))
        port, side = (destination, "client") if destination < FIRST_PORT + len(STORIES) else (source, "server")
        collected = stories.setdefault(port - FIRST_PORT, {"client": {}, "server": {}})[side]
        for field in fields[3:]:
            collected.setdefault(field, []).extend(layers.get(field, []))
    for sides in stories.values():
        for collected in sides.values():
            collected["tcp.payload"] = ["".join(collected.get("tcp.payload", []))]
    return [{"story": name, **stories[number]} for number, name in enumerate(STORIES)]


def main() -> None:
    dumpcap = subprocess.Popen(
        ["dumpcap", "-q", "-i", "lo", "-f", f"tcp portrange {FIRST_PORT}-{FIRST_PORT + 99}", "-w", str(CAPTURE)],
        stderr=subprocess.PIPE,
    )
    assert dumpcap.stderr is not None
    while b"File:" not in dumpcap.stderr.readline():
        pass
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_certificates(folder)
        for number, (name, story) in enumerate(STORIES.items()):
            print(name)
            story(folder, FIRST_PORT + number)
    subprocess.run(["sleep", "1"], check=True)
    dumpcap.terminate()
    dumpcap.wait()
    lines = ",\n".join(json.dumps(each, ensure_ascii=False) for each in describe())
    (HERE / "foreign.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
