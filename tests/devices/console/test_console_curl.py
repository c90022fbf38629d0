"""curl: against a web server, a redirect, and servers that speak something else."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from aiohttp import web
from console_kit import Console, Site, console_at, garbage_at, tell
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.network.host import Host
from lab.network.opcua_identity import application_identity


async def respond(request: web.Request) -> web.Response:
    if request.path == "/moved":
        raise web.HTTPFound("/here")
    if request.path == "/loop":
        raise web.HTTPFound("/loop")
    if request.path == "/binary":
        return web.Response(body=b"\0\1\2\xff")
    if request.path == "/gbk":
        return web.Response(body="锅炉".encode("gbk"), content_type="text/plain", charset="gbk")
    if request.path == "/slow":
        await asyncio.sleep(30)
    if request.path == "/missing":
        raise web.HTTPNotFound(text="not here\n")
    headers = {
        name: request.headers.get(name, "-") for name in ("Content-Type", "X-Test", "Authorization", "User-Agent")
    }
    said = await request.text()
    return web.Response(
        text=f"{request.method} {request.path_qs} {said}\n" + "".join(f"{n}: {v}\n" for n, v in headers.items())
    )


async def server(site: Site, tls: ssl.SSLContext | None = None) -> Host:
    host = site.host("web", "10.0.0.2/24")

    async def serve() -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", respond)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "0.0.0.0", 443 if tls else 80, ssl_context=tls).start()

    await host.spawn(serve())
    return host


def test_a_page_is_fetched_and_data_posted() -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        await server(site)
        said = await at.run("curl http://10.0.0.2/a?b=1")
        assert at.status == 0
        assert said.startswith("GET /a?b=1 \n")
        assert "User-Agent: curl/8" in said
        said = await at.run(
            """curl -d '{"on": true}' -H 'Content-Type: application/json' -H 'X-Test: y' -u me:pw 10.0.0.2"""
        )
        assert said.startswith(
            'POST / {"on": true}\nContent-Type: application/json\nX-Test: y\nAuthorization: Basic bWU6cHc='
        )
        assert "x-www-form-urlencoded" in await at.run("curl -d a=1 -d b=2 10.0.0.2")
        assert (await at.run("curl -X DELETE 10.0.0.2/x")).startswith("DELETE /x")

    tell(story)


def test_headers_are_shown_where_they_are_asked_for() -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        await server(site)
        head = await at.run("curl -I 10.0.0.2")
        assert head.startswith("HTTP/1.1 200 OK\nContent-Type: text/plain; charset=utf-8\n")
        assert "GET" not in head
        assert "\n\nGET / " in await at.run("curl -i 10.0.0.2")
        said = await at.run("curl -v 10.0.0.2")
        assert said.startswith("> GET / HTTP/1.1\n> Host: 10.0.0.2\n")
        assert "< HTTP/1.1 200 OK" in said

    tell(story)


def test_redirects_errors_and_time() -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        await server(site)
        assert "302 Found" in await at.run("curl -i 10.0.0.2/moved")
        assert (await at.run("curl -L 10.0.0.2/moved")).startswith("GET /here")
        assert "Maximum redirects" in await at.run("curl -L 10.0.0.2/loop")
        assert await at.run("curl 10.0.0.2/missing") == "not here\n"
        assert at.status == 0
        assert await at.run("curl -f 10.0.0.2/missing") == "curl: (22) The requested URL returned error: 404\n"
        assert at.status == 22
        assert "(28)" in await at.run("curl -m 2 10.0.0.2/slow")
        assert await at.run("curl -s -m 2 10.0.0.2/slow") == ""
        assert at.status == 28
        assert await at.interrupted("curl 10.0.0.2/slow", 1) == ""
        assert await at.run("curl 10.0.0.2/gbk") == "锅炉"

    tell(story)


def test_files_stay_in_the_folder(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        at = console_at(site, folder=tmp_path / "work")
        (tmp_path / "work").mkdir()
        (tmp_path / "secret").write_text("s")
        await server(site)
        assert "use -o FILE" in await at.run("curl 10.0.0.2/binary")
        assert at.status == 23
        assert await at.run("curl -o page 10.0.0.2/binary") == ""
        assert (tmp_path / "work" / "page").read_bytes() == b"\0\1\2\xff"
        (tmp_path / "work" / "data").write_text("1=2")
        assert (await at.run("curl -d @data 10.0.0.2")).startswith("POST / 1=2\n")
        (tmp_path / "work" / "link").symlink_to(tmp_path / "secret")
        for name in ("../secret", "link", str(tmp_path / "secret"), ".", "", "a\0b"):
            assert "no file name in this folder" in await at.run(["curl", "-o", name, "10.0.0.2"])
            assert "no file name in this folder" in await at.run(["curl", "-d", f"@{name}", "10.0.0.2"])
        assert (tmp_path / "secret").read_text() == "s"
        at.folder = None
        assert "no folder" in await at.run("curl -o page 10.0.0.2")

    tell(story)


def test_tls_trusts_whom_it_is_told_to(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        identity = await application_identity("urn:web", "web", "server")
        pem = identity.certificate.public_bytes(Encoding.PEM)
        (tmp_path / "ca.pem").write_bytes(pem)
        (tmp_path / "key.pem").write_bytes(pem + identity.key_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "key.pem")
        at = Console(site.host("ws", "10.0.0.9/24"), folder=tmp_path)
        at.host._names["web"] = "10.0.0.2"
        await server(site, context)
        assert "not trusted: self-signed certificate" in await at.run("curl https://web/")
        assert at.status == 60
        assert (await at.run("curl -k https://web/")).startswith("GET /")
        assert (await at.run("curl --cacert ca.pem https://web/")).startswith("GET /")
        assert "IP address mismatch" in await at.run("curl --cacert ca.pem https://10.0.0.2/")

    tell(story)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("curl http://nosuch/", 6),
        ("curl http://10.0.0.2/", 7),
        ("curl ftp://10.0.0.2/", 3),
        ("curl http://", 3),
        ("curl http://[/", 3),
        ("curl -X 'a b' http://10.0.0.9:1/", 2),
        ("curl -m 1 http://10.0.0.77/", 28),
    ],
)
def test_trouble_has_curls_numbers(line: str, status: int) -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        site.host("web", "10.0.0.2/24")
        said = await at.run(line)
        assert at.status == status, said
        assert said.startswith("curl: (")

    tell(story)


@settings(max_examples=80)
@given(
    st.sampled_from(
        [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"HTTP/1.1 302 X\r\n"]
    ),
    st.binary(max_size=40),
    st.sampled_from(["http", "https -k"]),
)
def test_nonsense_from_a_server_is_survived(good: bytes, answer: bytes, scheme: str) -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        await garbage_at(site.host("web", "10.0.0.2/24"), 80, good + answer)
        name, _, flag = scheme.partition(" ")
        await at.run(f"curl -L {flag} {name}://10.0.0.2:80/")
        assert at.status in range(100)

    tell(story)
