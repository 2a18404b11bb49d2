"""A stand-in for a Kubernetes API server: services in namespaces, listed by label and in pages, to those who may; and its certificates."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mcp_servers.gateway.discovery import LABEL
from tests.doubles.serving import Tls, serving

TOKEN = "token-of-the-account"
ACCOUNT = "system:serviceaccount:elf-system:gateway"


@dataclass
class Kube:
    """What is in the cluster, who may list where, and how it misbehaves. `asked` holds each request's query."""

    url: str = ""
    services: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict[tuple[str, str], dict[str, Any]])
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    #: Without tokens: the client's certificate is enough.
    anonymous: bool = False
    may_list: set[str] = field(default_factory=lambda: {"tools", "elf-servers"})
    page: int = 500
    #: Continuations that have expired, as long as the number lasts.
    expire: int = 0
    status: int | None = None
    answer: Response | None = None
    seconds: float = 0.0
    revision: int = 1
    asked: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    def apply(self, service: Mapping[str, Any], namespace: str = "tools") -> None:
        """As `kubectl apply -n <namespace>` does."""
        meta = {**service["metadata"], "namespace": namespace}
        self.revision += 1
        self.services[namespace, str(meta["name"])] = {**service, "metadata": meta}

    def delete(self, name: str, namespace: str = "tools") -> None:
        self.revision += 1
        del self.services[namespace, name]

    async def list(self, request: Request) -> Response:
        self.asked.append(dict(request.query_params))
        await asyncio.sleep(self.seconds)
        if self.answer is not None:
            return self.answer
        if self.status is not None:
            return _status(self.status, "InternalError", "etcdserver: request timed out")
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not self.anonymous and bearer not in self.tokens:
            return _status(401, "Unauthorized", "Unauthorized")
        namespace = request.path_params["namespace"]
        if namespace not in self.may_list:
            said = f'cannot list resource "services" in API group "" in the namespace "{namespace}"'
            return _status(403, "Forbidden", f'services is forbidden: User "{ACCOUNT}" {said}')
        return self._page(namespace, request.query_params)

    def _page(self, namespace: str, query: Mapping[str, str]) -> Response:
        if query.get("continue") and self.expire:
            self.expire -= 1
            return _status(410, "Expired", "The provided continue parameter is too old to display a consistent list")
        matching = [
            one
            for (where, _), one in sorted(self.services.items())
            if where == namespace and selects(query.get("labelSelector", ""), one["metadata"].get("labels") or {})
        ]
        first, size = int(query.get("continue") or 0), min(int(query.get("limit") or self.page), self.page)
        more = {"continue": str(first + size)} if first + size < len(matching) else {}
        meta = {"resourceVersion": str(self.revision), **more}
        items = matching[first : first + size]
        return JSONResponse({"kind": "ServiceList", "apiVersion": "v1", "metadata": meta, "items": items})


def selects(selector: str, labels: Mapping[str, str]) -> bool:
    """`key`, `!key`, `key=value`, several by comma: equality and existence, as the API knows them."""
    for part in filter(None, selector.split(",")):
        key, equals, value = part.partition("=")
        if equals:
            if labels.get(key) != value:
                return False
        elif (key.lstrip("!") in labels) == key.startswith("!"):
            return False
    return True


def service(
    name: str, label: str | None = None, port: Any = 8080, annotations: Any = None, **spec: Any
) -> dict[str, Any]:
    """A Service as it is written for `kubectl apply`; `label` is the server's name, else the service's own."""
    labels = {LABEL: name if label is None else label}
    meta = {"name": name, "labels": labels, **({"annotations": annotations} if annotations is not None else {})}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [{"port": port}], **spec}}


@contextmanager
def kube(tls: Tls | None = None) -> Generator[Kube]:
    """Served on a loopback port."""
    double = Kube()
    app = Starlette(routes=[Route("/api/v1/namespaces/{namespace}/services", double.list)])
    with serving(app, tls=tls) as double.url:
        yield double


def kubeconfig_of(cluster: Kube, path: Path) -> Path:
    """A kubeconfig by which the account reaches it."""
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "here",
                "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": cluster.url}}],
                "users": [{"name": "u", "user": {"token": TOKEN}}],
            }
        )
    )
    return path


def text(body: str, status: int = 200) -> Response:
    return PlainTextResponse(body, status)


def _status(code: int, reason: str, message: str) -> Response:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason}
    return JSONResponse({**body, "code": code}, code)


@dataclass(frozen=True)
class Authority:
    """A CA of a day, in a folder: `ca.crt`, and what it signed."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def sign(self, name: str, *hosts: str) -> Tls:
        """`<name>.crt` and `<name>.key` for these addresses and names."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [_general(host) for host in hosts]
        certificate = _certificate(name, key, self.certificate.subject, self.key, names)
        return Tls(_write(self.folder / f"{name}.crt", certificate), _write(self.folder / f"{name}.key", key))


def authority(folder: Path) -> Authority:
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    certificate = _certificate("kubernetes", key, subject, key, None)
    _write(folder / "ca.crt", certificate)
    return Authority(folder, key, certificate)


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    hosts: list[x509.GeneralName] | None,
) -> x509.Certificate:
    """`hosts` None: a CA."""
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=hosts is None,
        crl_sign=hosts is None,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=hosts is None, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if hosts:
        made = made.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
    return made.sign(signer, hashes.SHA256())


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(path: Path, of: x509.Certificate | ec.EllipticCurvePrivateKey) -> Path:
    if isinstance(of, x509.Certificate):
        path.write_bytes(of.public_bytes(serialization.Encoding.PEM))
    else:
        plain = serialization.NoEncryption()
        path.write_bytes(of.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return path
