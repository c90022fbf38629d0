"""TLS as a client, trusting only what it is told to: a plant's host has no authorities of its own."""

from __future__ import annotations

import ssl

from devices.console.arguments import Arguments, Options
from devices.console.process import USAGE, Failure, Process
from lab.text import Text

CA = Text(zh="文件夹中的 CA 证书（PEM）", en="certificate of the authority, PEM, in the folder")
CERT = Text(zh="文件夹中的客户端证书", en="client certificate in the folder")
KEY = Text(zh="文件夹中的客户端私钥", en="private key of the client in the folder")
INSECURE = Text(zh="不检查服务器证书", en="do not look at the server's certificate")
BAD_FILE = Text(zh="证书或私钥文件不能用：{why}", en="cannot use these certificate or key files: {why}")
KEY_WITHOUT_CERT = Text(zh="--key 要与 --cert 一起用", en="--key needs --cert")
UNTRUSTED = Text(zh="不信任服务器的证书：{why}", en="the server's certificate is not trusted: {why}")
NO_TLS = Text(zh="TLS 握手失败：{why}", en="the TLS handshake failed: {why}")


def flags(parser: Arguments) -> None:
    parser.flag("--cafile", "--cacert", dest="ca", metavar="FILE", help=CA)
    parser.flag("--cert", metavar="FILE", help=CERT)
    parser.flag("--key", metavar="FILE", help=KEY)


def context(process: Process, options: Options, *, insecure: bool) -> ssl.SSLContext:
    """What the flags ask for; raises Failure for files that do not serve."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if insecure:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if options.key and not options.cert:
        raise Failure(KEY_WITHOUT_CERT, USAGE)
    try:
        if options.ca:
            made.load_verify_locations(process.file(options.ca))
        if options.cert:
            made.load_cert_chain(process.file(options.cert), process.file(options.key) if options.key else None)
    except (OSError, ValueError) as error:  # ssl.SSLError among them
        raise Failure(BAD_FILE, why=process.why(error)) from None
    return made


def failure(process: Process, error: ssl.SSLError) -> Failure:
    """Why a handshake came to nothing."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Failure(UNTRUSTED, why=error.verify_message)
    return Failure(NO_TLS, why=error.reason or process.why(error))
