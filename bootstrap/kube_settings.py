"""Which cluster is asked for tool servers, and how it is reached: what the environment says of it, checked."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mcp_servers.cluster.kube_access import ACCOUNT, Access, of_kubeconfig, of_pod

NAMESPACES = "ELF_MCP_NAMESPACES"
_MOST = 20
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class BadKubeSettings(ValueError):
    """A setting that cannot be used; the message names the variable and the fix."""


@dataclass(frozen=True)
class KubeGiven:
    """The namespaces to look in, and the way: a kubeconfig, else the account of the pod that the kernel runs in."""

    namespaces: tuple[str, ...]
    kubeconfig: Path | None = None
    context: str | None = None
    #: Of a pod: the API server's host and port.
    host: str = ""
    port: str = ""

    def access(self) -> Access:
        """What the files say now. Blocks; raises `BadAccess`."""
        if self.kubeconfig is not None:
            return of_kubeconfig(self.kubeconfig, self.context)
        return of_pod(self.host, self.port, ACCOUNT)


def variables(kube: KubeGiven | None) -> dict[str, str | None]:
    """The variables of an environment that says exactly this; None: the variable is not there."""
    if kube is None:
        return {NAMESPACES: None}
    return {
        NAMESPACES: ",".join(kube.namespaces),
        "ELF_KUBECONFIG": str(kube.kubeconfig) if kube.kubeconfig else None,
        "KUBECONFIG": None,
        "ELF_KUBE_CONTEXT": kube.context,
        "KUBERNETES_SERVICE_HOST": kube.host,
        "KUBERNETES_SERVICE_PORT": kube.port,
    }


def kube_of(environ: Mapping[str, str]) -> KubeGiven | None:
    """None unless ELF_MCP_NAMESPACES names a namespace: a kubeconfig that lies around is nobody's wish. Raises `BadKubeSettings`."""
    named = [part.strip() for part in environ.get(NAMESPACES, "").split(",") if part.strip()]
    if not named:
        return None
    namespaces = tuple(dict.fromkeys(named))
    if len(namespaces) > _MOST or not all(_NAMESPACE.fullmatch(one) for one in namespaces):
        raise BadKubeSettings(
            f"{NAMESPACES} is a list of at most {_MOST} namespaces, such as {NAMESPACES}=elf-servers,tools"
        )
    if environ.get("ELF_MCP_SERVICES_FILE"):
        raise BadKubeSettings(f"{NAMESPACES} and ELF_MCP_SERVICES_FILE are two ways to the same; set one of them")
    file = environ.get("ELF_KUBECONFIG") or environ.get("KUBECONFIG")
    if file:
        if os.pathsep in file:
            raise BadKubeSettings(
                "ELF_KUBECONFIG (or KUBECONFIG) is one file here; `kubectl config view --flatten` makes one"
            )
        path = Path(file).expanduser().absolute()
        return KubeGiven(namespaces, path, environ.get("ELF_KUBE_CONTEXT") or None)
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "") or "443"
    if not host:
        raise BadKubeSettings(f"{NAMESPACES} is set, and this is no pod: name a kubeconfig in ELF_KUBECONFIG")
    return KubeGiven(namespaces, host=host, port=port)
