"""Kubernetes' restricted Pod Security Standard, and a few lines of our own, held against a pod's spec. Pure.

Source: the Kubernetes documentation, "Pod Security Standards", profile Restricted (which includes Baseline).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mcp_servers.checks.yaml_values import BadQuantity, at, mapping, quantity, sequence, text

_VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)
_SECCOMP = frozenset({"RuntimeDefault", "Localhost"})
_SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_syncookies",
    }
)
_SECRET_NAME = re.compile(r"(?i)(secret|token|passw|api_?key|private_?key|credential|_key$)")


def containers(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """All of them: the first ones, the debugging ones and the pod's own."""
    return [
        mapping(it)
        for kind in ("initContainers", "containers", "ephemeralContainers")
        for it in sequence(pod.get(kind))
    ]


def restricted(pod: Mapping[str, Any]) -> Iterator[str]:
    """Every way in which the pod does not fit."""
    if not sequence(pod.get("containers")):
        yield "it has no containers"
    for space in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(space):
            yield f"{space}: a pod stays out of the machine's own namespaces"
    if pod.get("automountServiceAccountToken") is not False:
        yield "automountServiceAccountToken is not false; a team holds no key to the cluster"
    security = mapping(pod.get("securityContext"))
    yield from _sysctls(security)
    yield from _volumes(pod)
    for container in containers(pod):
        name = text(container.get("name"))[:60]
        yield from (f"container {name}: {what}" for what in _container(container, security))


def _container(container: Mapping[str, Any], pod: Mapping[str, Any]) -> Iterator[str]:
    own = mapping(container.get("securityContext"))
    if own.get("privileged"):
        yield "it is privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation is not false"
    if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot is not true"
    if own.get("runAsUser", pod.get("runAsUser", 1)) == 0:
        yield "runAsUser is root"
    if text(at(own, "seccompProfile", "type")) not in _SECCOMP and (
        "seccompProfile" in own or text(at(pod, "seccompProfile", "type")) not in _SECCOMP
    ):
        yield "seccompProfile is not RuntimeDefault or Localhost"
    if "ALL" not in sequence(at(own, "capabilities", "drop")):
        yield "capabilities do not drop ALL"
    if added := set(map(str, sequence(at(own, "capabilities", "add")))) - {"NET_BIND_SERVICE"}:
        yield f"it adds capabilities: {', '.join(sorted(added))[:80]}"
    if text(own.get("procMount") or "Default") != "Default":
        yield "procMount is not Default"
    if at(own, "windowsOptions", "hostProcess") or at(pod, "windowsOptions", "hostProcess"):
        yield "hostProcess is on"
    if any(at(port, "hostPort") for port in sequence(container.get("ports"))):
        yield "it opens a port of the machine (hostPort)"
    yield from _environment(container)


def _environment(container: Mapping[str, Any]) -> Iterator[str]:
    for entry in map(mapping, sequence(container.get("env"))):
        name = text(entry.get("name"))
        if entry.get("value") and _SECRET_NAME.search(name):
            yield f"the variable {name[:60]} holds its value in the open; take it from a secret (valueFrom.secretKeyRef)"


def _sysctls(security: Mapping[str, Any]) -> Iterator[str]:
    names = {text(at(one, "name")) for one in sequence(security.get("sysctls"))}
    if odd := sorted(names - _SAFE_SYSCTLS):
        yield f"the sysctl {odd[0][:60]} is not a safe one"


def _volumes(pod: Mapping[str, Any]) -> Iterator[str]:
    for volume in map(mapping, sequence(pod.get("volumes"))):
        name = text(volume.get("name"))[:60]
        if odd := sorted(set(volume) - {"name"} - _VOLUMES):
            yield f"volume {name}: {odd[0][:40]} is not a kind a team may have"
        if len(set(volume) - {"name"}) != 1:
            yield f"volume {name}: it is of no kind, or of two"
        if "emptyDir" in volume:
            try:
                if quantity(at(volume, "emptyDir", "sizeLimit")) is None:
                    yield f"volume {name}: emptyDir without a sizeLimit fills the machine's disk"
            except BadQuantity as error:
                yield f"volume {name}: sizeLimit: {error}"
