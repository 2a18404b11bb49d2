"""How a Kubernetes API server is reached: as the service account of the pod this runs in, or by a kubeconfig.

Of a kubeconfig that is read which needs nobody else: certificates and tokens. What would run a program with the kernel's rights
(`exec`), stand for somebody else (`as`), or trust whoever answers (`insecure-skip-tls-verify`) is refused, and the refusal says
what to do instead. All of it blocks: files are read at each look, since tokens and certificates are renewed in place.
"""

from __future__ import annotations

import base64
import binascii
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from policies.strict_yaml import BadYaml, load

#: Where Kubernetes puts a pod's token, CA and namespace.
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_OWN_ACCOUNT = "give the company a service account of its own and its token in `tokenFile`"
_REFUSED = {
    "exec": f"its user runs a program (`exec`), which the company does not; {_OWN_ACCOUNT}, or go through `kubectl proxy`",
    "auth-provider": f"its user has an `auth-provider`; {_OWN_ACCOUNT}",
    "username": f"its user has a password; {_OWN_ACCOUNT}",
    "as": f"its user stands for another (`as`); {_OWN_ACCOUNT}",
    "as-uid": f"its user stands for another (`as-uid`); {_OWN_ACCOUNT}",
    "as-groups": f"its user stands for others (`as-groups`); {_OWN_ACCOUNT}",
    "as-user-extra": f"its user stands for another (`as-user-extra`); {_OWN_ACCOUNT}",
    "insecure-skip-tls-verify": "it trusts whoever answers (`insecure-skip-tls-verify`); give `certificate-authority` instead",
    "proxy-url": "it names a proxy (`proxy-url`); the API server is asked directly",
}


class BadAccess(ValueError):
    """There is no way to the API server; the text says what is wrong with which file, and holds no secret."""


@dataclass(frozen=True)
class Access:
    """`server` without a slash at its end. `ca` is PEM; None: the certificates that this machine trusts."""

    server: str
    ca: str | None = None
    token: str | None = field(default=None, repr=False)
    #: PEM of certificate and key.
    client: tuple[str, str] | None = field(default=None, repr=False)
    #: The name in the server's certificate, if it is not the one in its address.
    tls_name: str | None = None

    def tls(self) -> ssl.SSLContext | None:
        """None for an API server on this machine without TLS. Raises `BadAccess`."""
        if self.server.startswith("http://"):
            return None
        try:
            context = ssl.create_default_context(cadata=self.ca)
            if self.client is not None:
                _load(context, *self.client)
        except (ssl.SSLError, ValueError) as error:
            raise BadAccess(f"its certificates cannot be used ({type(error).__name__}); they are PEM") from error
        return context


def of_pod(host: str, port: str, account: Path) -> Access:
    """The account that the pod's cluster gave it. Raises `BadAccess`."""
    address = f"[{host}]" if ":" in host else host
    server = _server(f"https://{address}:{port}", "KUBERNETES_SERVICE_HOST")
    return Access(server, _text(account / "ca.crt"), _token(_text(account / "token"), account / "token"))


def of_kubeconfig(path: Path, context: str | None = None) -> Access:
    """What the file says of that context, or of its current one. Raises `BadAccess`."""
    try:
        found = load(_text(path), max_bytes=1_000_000)
    except BadYaml as error:
        raise BadAccess(f"{path}: {error}") from error
    config = mapping(found)
    name = context or str(config.get("current-context") or "")
    if not name:
        raise BadAccess(f"{path} has no current-context; name one in ELF_KUBE_CONTEXT")
    chosen = _named(path, config, "context", name)
    cluster = _named(path, config, "cluster", str(chosen.get("cluster")))
    user = _named(path, config, "user", str(chosen["user"])) if chosen.get("user") else {}
    for of in (cluster, user):
        if refused := next((why for key, why in _REFUSED.items() if of.get(key)), None):
            raise BadAccess(f"{path}, context {name}: {refused}")
    server = _server(str(cluster.get("server") or ""), f"{path}, context {name}")
    return Access(
        server,
        _given(path, cluster, "certificate-authority"),
        _token_of(path, user),
        _client(path, user),
        cast("str | None", cluster.get("tls-server-name")),
    )


def _server(url: str, where: str) -> str:
    """Without TLS only on this machine (`kubectl proxy`): a token goes there."""
    parts = urlsplit(url)
    here = parts.hostname in {"127.0.0.1", "::1", "localhost"}
    try:
        usable = parts.port != 0 and bool(parts.hostname) and parts.username is None and not parts.query
    except ValueError:
        usable = False
    if not usable or not (parts.scheme == "https" or (parts.scheme == "http" and here)):
        raise BadAccess(f"{where}: the server must be an https address (http only on this machine)")
    return url.rstrip("/")


def _named(path: Path, config: Mapping[str, Any], kind: str, name: str) -> Mapping[str, Any]:
    listed: Any = config.get(f"{kind}s")
    entries = cast("list[Any]", listed) if isinstance(listed, list) else []
    for entry in map(mapping, entries):
        if entry.get("name") == name:
            return mapping(entry.get(kind))
    raise BadAccess(f"{path} has no {kind} '{name[:60]}'; `kubectl config view` shows what it has")


def _given(path: Path, of: Mapping[str, Any], key: str) -> str | None:
    """The text that stands in the file (`<key>-data`, base64) or in the file that it names; None: neither."""
    if data := of.get(f"{key}-data"):
        try:
            return base64.b64decode(str(data), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise BadAccess(f"{path}: {key}-data is no base64 of a PEM text") from error
    return _text(path.parent / str(of[key])) if of.get(key) else None


def _token_of(path: Path, user: Mapping[str, Any]) -> str | None:
    if user.get("tokenFile"):
        file = path.parent / str(user["tokenFile"])
        return _token(_text(file), file)
    return _token(str(user["token"]), path) if user.get("token") else None


def _client(path: Path, user: Mapping[str, Any]) -> tuple[str, str] | None:
    certificate, key = _given(path, user, "client-certificate"), _given(path, user, "client-key")
    if (certificate is None) != (key is None):
        raise BadAccess(f"{path}: its user has one of client-certificate and client-key; it needs both")
    return (certificate, key) if certificate is not None and key is not None else None


def _token(text: str, where: Path) -> str:
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise BadAccess(f"{where} holds no token")
    return token


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadAccess(f"{path} cannot be read ({type(error).__name__})") from error


def mapping(found: object) -> Mapping[str, Any]:
    """It, if it is one, else an empty one: what others wrote has any shape."""
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}


def _load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """OpenSSL reads a key from a file alone: one in a folder of ours, gone before this returns."""
    with tempfile.TemporaryDirectory(prefix="elf-tls-") as folder:
        both = Path(folder) / "client.pem"
        both.write_text(f"{certificate}\n{key}\n")
        context.load_cert_chain(both)
