"""The linter of rendered manifests: what schema validators miss. Pure: the files of a `k8s` folder in, findings out.

Pods fit the restricted Pod Security Standard; images have a version, foreign ones a digest; selectors, ports, accounts and resources
refer to what is there; quantities are quantities; nothing secret stands in the open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

from mcp_servers.checks import pod_security
from mcp_servers.checks.yaml_values import BadQuantity, at, is_dns_name, mapping, quantity, sequence, text
from policies.facts import Finding
from policies.strict_yaml import BadYaml, load

WORKLOADS = frozenset({"Deployment", "StatefulSet", "Job"})
#: What a generated folder may ask a cluster for. Anything else (roles, webhooks, whole namespaces) is a person's to write.
KINDS = WORKLOADS | {"Service", "ServiceAccount", "NetworkPolicy", "Kustomization"}
_KUSTOMIZATION_SAYS = frozenset({"apiVersion", "kind", "namespace", "resources", "images"})
_NOT_FOR_TEAMS = ("default", "kube-")


@dataclass(frozen=True)
class Manifest:
    """One file: its name inside the folder, and what it says."""

    file: str
    data: Mapping[str, Any]

    @property
    def kind(self) -> str:
        return text(self.data.get("kind"))

    @property
    def name(self) -> str:
        return text(at(self.data, "metadata", "name"))

    @property
    def pod(self) -> Mapping[str, Any]:
        return mapping(at(self.data, "spec", "template", "spec"))

    @property
    def pod_labels(self) -> Mapping[str, Any]:
        return mapping(at(self.data, "spec", "template", "metadata", "labels"))

    @property
    def containers(self) -> list[Mapping[str, Any]]:
        return pod_security.containers(self.pod)


def lint(files: Mapping[str, bytes]) -> list[Finding]:
    """Findings in a folder's `*.yaml` (name -> bytes), each once, in the order of the files."""
    manifests, found = _read(files)
    rules = chain(
        chain.from_iterable(_alone(one) for one in manifests),
        *(_workload(one, manifests) for one in manifests if one.kind in WORKLOADS),
        *(_service(one, manifests) for one in manifests if one.kind == "Service"),
        *(_network(one, manifests) for one in manifests if one.kind == "NetworkPolicy"),
        _kustomization(manifests),
    )
    found += [Finding(check="manifests", where=file, what=what) for file, what in rules]
    return list(dict.fromkeys(found))


def _read(files: Mapping[str, bytes]) -> tuple[list[Manifest], list[Finding]]:
    manifests: list[Manifest] = []
    found: list[Finding] = []
    for name, data in sorted(files.items()):
        try:
            read = load(data)
        except BadYaml as error:
            found.append(Finding(check="manifests", where=name, what=f"it is not plain YAML: {error}"[:300]))
            continue
        if isinstance(read, dict):
            manifests.append(Manifest(name, cast("dict[str, Any]", read)))
        else:
            found.append(Finding(check="manifests", where=name, what="it is not a manifest"))
    return manifests, found


Found = Iterator[tuple[str, str]]
"""(file, what is wrong)"""


def _alone(one: Manifest) -> Found:
    """What can be said of a manifest without the others."""
    if one.kind not in KINDS:
        yield one.file, f"{one.kind[:40] or 'no kind'} is not among what a folder may have: {', '.join(sorted(KINDS))}"
        return
    if one.kind != "Kustomization" and not is_dns_name(one.name):
        yield one.file, "metadata.name is not a DNS label (a-z, 0-9, -, at most 63)"
    for namespace in _namespaces(one):
        if not is_dns_name(namespace) or namespace.startswith(_NOT_FOR_TEAMS):
            yield one.file, f"the namespace {namespace[:70]!r} is not one for teams or servers"


def _namespaces(one: Manifest) -> Iterator[str]:
    for value in (at(one.data, "metadata", "namespace"), one.data.get("namespace")):
        if value is not None:
            yield text(value)


def _workload(one: Manifest, manifests: Iterable[Manifest]) -> Found:
    selector = mapping(at(one.data, "spec", "selector", "matchLabels"))
    if one.kind != "Job" and not (selector and selector.items() <= one.pod_labels.items()):
        yield one.file, "spec.selector does not match the labels of its own pods"
    yield from ((one.file, what) for what in pod_security.restricted(one.pod))
    accounts = {it.name for it in manifests if it.kind == "ServiceAccount"}
    if text(one.pod.get("serviceAccountName")) not in accounts:
        yield one.file, "serviceAccountName names no ServiceAccount of the folder"
    images = _images(manifests)
    for container in one.containers:
        yield from ((one.file, what) for what in _container(container, images, one.name))


def _container(container: Mapping[str, Any], images: Mapping[str, Mapping[str, Any]], own: str) -> Iterator[str]:
    name = text(container.get("name"))
    if not is_dns_name(name):
        yield "a container's name is not a DNS label"
    if (why := _unversioned(text(container.get("image")), images, own)) is not None:
        yield f"container {name}: {why}"
    yield from (f"container {name}: {what}" for what in _resources(mapping(container.get("resources"))))
    for port in map(mapping, sequence(container.get("ports"))):
        if not isinstance(number := port.get("containerPort"), int) or not 0 < number < 65536:
            yield f"container {name}: a port has no number"
    ports = _ports_of(container)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        port = at(container, probe, "httpGet", "port")
        if port is not None and not (isinstance(port, str | int) and port in ports):
            yield f"container {name}: {probe} asks port {port!r}, which it does not open"


def _unversioned(image: str, images: Mapping[str, Mapping[str, Any]], own: str) -> str | None:
    """Why the image is not fixed: by a digest; or, if it is the folder's own (`own`), by a version that is not `latest`.

    The own one is built from the folder after the merge, so nobody can know its digest here. Whoever can push to a registry moves
    the versions of any other.
    """
    name, _, digest = image.partition("@")
    bare, tag = name, ""
    if ":" in name.rsplit("/", 1)[-1]:
        bare, tag = name.rsplit(":", 1)
    by = images.get(bare, {})
    bare = text(by.get("newName")) or bare
    digest, tag = text(by.get("digest")) or digest, text(by.get("newTag")) or tag
    if digest:
        return (
            None if digest.startswith("sha256:") and len(digest) == 71 else f"the image {bare[:80]} has no valid digest"
        )
    if not tag or tag.casefold() == "latest":
        return (
            f"the image {bare[:80]!r} has {'the version latest' if tag else 'no version'}; give a digest or a version"
        )
    if bare != own:
        return f"the image {bare[:80]!r} is not made from this folder; give its digest (@sha256:...)"
    return None


def _resources(resources: Mapping[str, Any]) -> Iterator[str]:
    for what in ("cpu", "memory"):
        try:
            limit = quantity(at(resources, "limits", what))
            asked = quantity(at(resources, "requests", what))
        except BadQuantity as error:
            yield f"{what}: {error}"
            continue
        if limit is None:
            yield f"resources.limits.{what} is missing"
        elif asked is not None and asked > limit:
            yield f"it asks for more {what} than its limit"
        if limit is not None and limit <= 0:
            yield f"resources.limits.{what} is not more than nothing"


def _ports_of(container: Mapping[str, Any]) -> set[object]:
    """Its ports, by name and by number."""
    ports = [mapping(port) for port in sequence(container.get("ports"))]
    found = [port[key] for port in ports for key in ("name", "containerPort") if key in port]
    return {one for one in found if isinstance(one, str | int)}


def _service(one: Manifest, manifests: Iterable[Manifest]) -> Found:
    selector = mapping(at(one.data, "spec", "selector"))
    chosen = [it for it in manifests if it.kind in WORKLOADS and selector.items() <= it.pod_labels.items()]
    if not selector or not chosen:
        yield one.file, "spec.selector matches no pod of the folder"
        return
    if text(at(one.data, "spec", "type")) not in {"", "ClusterIP"}:
        yield one.file, "spec.type opens it to the outside; only ClusterIP"
    if at(one.data, "spec", "externalIPs") or at(one.data, "spec", "externalName"):
        yield one.file, "it claims an address outside"
    opened = set[object]().union(*(_ports_of(container) for it in chosen for container in it.containers))
    if not sequence(at(one.data, "spec", "ports")):
        yield one.file, "spec.ports is empty"
    for port in map(mapping, sequence(at(one.data, "spec", "ports"))):
        target = port.get("targetPort", port.get("port"))
        if target not in opened:
            yield one.file, f"targetPort {target!r} is no port of the pods it selects"


def _network(one: Manifest, manifests: Iterable[Manifest]) -> Found:
    selector = mapping(at(one.data, "spec", "podSelector", "matchLabels"))
    if not any(it.kind in WORKLOADS and selector.items() <= it.pod_labels.items() for it in manifests):
        yield one.file, "spec.podSelector matches no pod of the folder"
    if {"Ingress", "Egress"} - set(map(text, sequence(at(one.data, "spec", "policyTypes")))):
        yield one.file, "spec.policyTypes leaves a direction open; name Ingress and Egress"
    for way, side in (("ingress", "from"), ("egress", "to")):
        for rule in map(mapping, sequence(at(one.data, "spec", way))):
            if not sequence(rule.get(side)) or not sequence(rule.get("ports")):
                yield one.file, f"a rule of {way} is open to everybody or to every port"


def _kustomization(manifests: list[Manifest]) -> Found:
    found = [it for it in manifests if it.kind == "Kustomization"]
    if len(found) != 1:
        yield "kustomization.yaml", "there is no one Kustomization"
        return
    listed = [text(one) for one in sequence(found[0].data.get("resources"))]
    there = {it.file for it in manifests if it.kind != "Kustomization"}
    for name in sorted(set(listed) ^ there):
        yield found[0].file, f"{name[:80]} is {'not in the folder' if name in listed else 'not listed under resources'}"
    if len(set(listed)) < len(listed):
        yield found[0].file, "a resource is listed twice"
    if not text(found[0].data.get("namespace")):
        yield found[0].file, "it names no namespace"
    for key in sorted(set(found[0].data) - _KUSTOMIZATION_SAYS):
        # Patches, generators and remote bases change what was looked at here.
        yield found[0].file, f"{key[:40]} is not among what it may say: {', '.join(sorted(_KUSTOMIZATION_SAYS))}"


def _images(manifests: Iterable[Manifest]) -> dict[str, Mapping[str, Any]]:
    """Image name -> what the Kustomization makes of it."""
    entries = [
        mapping(it) for one in manifests if one.kind == "Kustomization" for it in sequence(one.data.get("images"))
    ]
    return {text(entry.get("name")): entry for entry in entries}
