"""Over TLS a server is who the URL says, whatever address its name led to."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mcp_servers.safe_http import HttpFailed, SafeHttp

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def certificate(folder: Path, name: str) -> Path:
    """A key and its own certificate for that name, in one file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    found = folder / f"{name}.pem"
    found.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return found


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(OK)
    await writer.drain()
    writer.close()


@pytest.mark.rows("F34")
async def test_a_server_with_another_names_certificate_or_one_that_nobody_vouches_for_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path, "tools.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    listening = await asyncio.start_server(_serve, "127.0.0.1", 0, ssl=context)
    port = listening.sockets[0].getsockname()[1]

    async def asked(name: str) -> bytes:
        http = SafeHttp(lambda: ("127.0.0.0/8",), lambda _host, _port: ["127.0.0.1"])
        try:
            return (await http.request("GET", f"https://{name}:{port}/", timeout_seconds=5, max_bytes=100)).body
        finally:
            await http.close()

    with pytest.raises(HttpFailed, match="SSLCertVerificationError"):
        await asked("tools.example")
    vouched = ssl.create_default_context(cafile=str(pem))

    def known(_http: SafeHttp) -> ssl.SSLContext:
        return vouched

    monkeypatch.setattr(SafeHttp, "_context", known)
    assert await asked("tools.example") == b"hello"
    with pytest.raises(HttpFailed, match="SSLCertVerificationError"):
        await asked("other.example")
    # Planted hole: without the look at the name, anybody's certificate would do.
    vouched.check_hostname = False
    assert await asked("other.example") == b"hello"
    listening.close()
    await listening.wait_closed()
