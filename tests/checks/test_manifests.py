"""The linter of manifests: what the factories render is clean, and each way of breaking it is found."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_servers.checks.manifests import lint
from tests.checks.rendered import SERVER, TEAM, folders

pytestmark = pytest.mark.rows("F18")

Files = dict[str, Any]


def manifests(path: str = TEAM) -> Files:
    """The folder's manifests as data, to be broken."""
    files = folders()[path]
    return {name.removeprefix("k8s/"): yaml.safe_load(data) for name, data in files.items() if name.startswith("k8s/")}


def said(files: Files) -> list[str]:
    return [finding.what for finding in lint({name: yaml.safe_dump(data).encode() for name, data in files.items()})]


def pod(files: Files) -> Any:
    return files["deployment.yaml"]["spec"]["template"]["spec"]


def box(files: Files) -> Any:
    return pod(files)["containers"][0]


@pytest.mark.parametrize("path", [path for path, files in folders().items() if "k8s/deployment.yaml" in files])
def test_what_the_factories_render_is_clean(path: str) -> None:
    assert said(manifests(path)) == []


def _put(where: Callable[[Files], Any], key: str, value: Any) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        where(files)[key] = value

    return change


def _drop(where: Callable[[Files], Any], key: str) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        del where(files)[key]

    return change


def _file(name: str, *path: str | int) -> Callable[[Files], Any]:
    def find(files: Files) -> Any:
        found: Any = files[name]
        for step in path:
            found = found[step]
        return found

    return find


def _volume(kind: str, value: Any) -> Callable[[Files], None]:
    return lambda files: pod(files)["volumes"].append({"name": "more", kind: value})


def _security(files: Files) -> Any:
    return box(files)["securityContext"]


KUSTOMIZATION = _file("kustomization.yaml")

BROKEN: dict[str, tuple[Callable[[Files], None], str]] = {
    "no runAsNonRoot": (_drop(lambda it: pod(it)["securityContext"], "runAsNonRoot"), "runAsNonRoot"),
    "a container that is root again": (_put(_security, "runAsNonRoot", False), "runAsNonRoot"),
    "user 0": (_put(_security, "runAsUser", 0), "runAsUser"),
    "escalation allowed": (_put(_security, "allowPrivilegeEscalation", True), "allowPrivilegeEscalation"),
    "escalation unsaid": (_drop(_security, "allowPrivilegeEscalation"), "allowPrivilegeEscalation"),
    "privileged": (_put(_security, "privileged", True), "privileged"),
    "capabilities kept": (_drop(_security, "capabilities"), "drop ALL"),
    "capabilities added": (_put(_security, "capabilities", {"drop": ["ALL"], "add": ["SYS_ADMIN"]}), "SYS_ADMIN"),
    "no seccomp": (_drop(lambda it: pod(it)["securityContext"], "seccompProfile"), "seccompProfile"),
    "seccomp off": (_put(_security, "seccompProfile", {"type": "Unconfined"}), "seccompProfile"),
    "procMount": (_put(_security, "procMount", "Unmasked"), "procMount"),
    "Windows host process": (_put(_security, "windowsOptions", {"hostProcess": True}), "hostProcess"),
    "host network": (_put(pod, "hostNetwork", True), "hostNetwork"),
    "host pid": (_put(pod, "hostPID", True), "hostPID"),
    "host ipc": (_put(pod, "hostIPC", True), "hostIPC"),
    "host path": (_volume("hostPath", {"path": "/"}), "hostPath"),
    "another machine's disk": (_volume("nfs", {"server": "x", "path": "/"}), "nfs"),
    "a folder without an end": (_volume("emptyDir", {}), "sizeLimit"),
    "a size that is none": (_volume("emptyDir", {"sizeLimit": "much"}), "quantity"),
    "host port": (_put(lambda it: box(it)["ports"][0], "hostPort", 80), "hostPort"),
    "sysctl": (_put(lambda it: pod(it)["securityContext"], "sysctls", [{"name": "kernel.msgmax", "value": "1"}]), "sysctl"),
    "a key to the cluster": (_put(pod, "automountServiceAccountToken", True), "automountServiceAccountToken"),
    "a second container with nothing said": (lambda it: pod(it)["containers"].append({"name": "x", "image": "x:1"}), "container x"),
    "an init container that is privileged": (
        _put(pod, "initContainers", [{"name": "i", "image": "i:1", "securityContext": {"privileged": True}}]),
        "container i: it is privileged",
    ),
    "no containers": (_put(pod, "containers", []), "no containers"),
    "latest": (_put(_file("kustomization.yaml", "images", 0), "newTag", "latest"), "latest"),
    "Latest": (_put(_file("kustomization.yaml", "images", 0), "newTag", "Latest"), "latest"),
    "no version": (_drop(KUSTOMIZATION, "images"), "no version"),
    "latest in the container": (_put(box, "image", "evil:latest"), "latest"),
    "a registry's port is no version": (_put(box, "image", "registry:5000/evil"), "no version"),
    "a digest that is none": (_put(box, "image", "evil@sha256:abc"), "no valid digest"),
    "selector": (_put(_file("deployment.yaml", "spec", "selector", "matchLabels"), "app.kubernetes.io/name", "x"), "selector"),
    "no selector": (_drop(_file("deployment.yaml", "spec"), "selector"), "selector"),
    "pod's labels": (_put(_file("deployment.yaml", "spec", "template", "metadata"), "labels", {}), "selector"),
    "service's selector": (_put(_file("service.yaml", "spec"), "selector", {"app": "x"}), "matches no pod"),
    "service's port": (_put(_file("service.yaml", "spec", "ports", 0), "targetPort", "https"), "targetPort"),
    "service's port by number": (_put(_file("service.yaml", "spec", "ports", 0), "targetPort", 9090), "targetPort"),
    "container's port": (_put(lambda it: box(it)["ports"][0], "name", "web"), "targetPort"),
    "service to the outside": (_put(_file("service.yaml", "spec"), "type", "LoadBalancer"), "ClusterIP"),
    "somebody else's address": (_put(_file("service.yaml", "spec"), "externalIPs", ["1.2.3.4"]), "outside"),
    "a probe of another port": (_put(lambda it: box(it)["readinessProbe"]["httpGet"], "port", "x"), "readinessProbe"),
    "no limits": (_drop(lambda it: box(it)["resources"], "limits"), "limits.cpu"),
    "no memory limit": (_drop(lambda it: box(it)["resources"]["limits"], "memory"), "limits.memory"),
    "memory that is none": (_put(lambda it: box(it)["resources"]["limits"], "memory", "768MB"), "quantity"),
    "a cpu that is none": (_put(lambda it: box(it)["resources"]["limits"], "cpu", "one"), "quantity"),
    "no cpu at all": (_put(lambda it: box(it)["resources"]["limits"], "cpu", 0), "more"),
    "more than its limit": (_put(lambda it: box(it)["resources"]["requests"], "memory", "2Gi"), "more memory"),
    "a secret in the open": (_put(box, "env", [{"name": "API_KEY", "value": "abc"}]), "in the open"),
    "a token in the open": (_put(box, "env", [{"name": "GITHUB_TOKEN", "value": "abc"}]), "in the open"),
    "a name that is none": (_put(_file("service.yaml", "metadata"), "name", "Content_Team"), "DNS"),
    "a name too long": (_put(_file("service.yaml", "metadata"), "name", "x" * 64), "DNS"),
    "the cluster's namespace": (_put(KUSTOMIZATION, "namespace", "kube-system"), "namespace"),
    "the default namespace": (_put(_file("service.yaml", "metadata"), "namespace", "default"), "namespace"),
    "no namespace": (_drop(KUSTOMIZATION, "namespace"), "namespace"),
    "a resource that is not there": (lambda it: it["kustomization.yaml"]["resources"].append("role.yaml"), "role.yaml"),
    "a resource from elsewhere": (lambda it: it["kustomization.yaml"]["resources"].append("https://x/y"), "not in the folder"),
    "a file that is not listed": (lambda it: it["kustomization.yaml"]["resources"].remove("service.yaml"), "not listed"),
    "a patch": (_put(KUSTOMIZATION, "patches", [{"patch": "x"}]), "patches"),
    "a generator": (_put(KUSTOMIZATION, "secretGenerator", []), "secretGenerator"),
    "no kustomization": (lambda it: it.pop("kustomization.yaml") and None, "Kustomization"),
    "no account": (_put(pod, "serviceAccountName", "default"), "ServiceAccount"),
    "a network policy for others": (_put(_file("networkpolicy.yaml", "spec", "podSelector"), "matchLabels", {"app": "x"}), "podSelector"),
    "a direction left open": (_put(_file("networkpolicy.yaml", "spec"), "policyTypes", ["Ingress"]), "direction open"),
    "open to everybody": (_put(_file("networkpolicy.yaml", "spec", "egress", 0), "to", []), "open to everybody"),
    "open on every port": (_drop(_file("networkpolicy.yaml", "spec", "ingress", 0), "ports"), "open to everybody"),
    "rights in the cluster": (_put(lambda it: it, "role.yaml", {"kind": "ClusterRole", "metadata": {"name": "x"}}), "ClusterRole"),
    "a pod on every machine": (_put(_file("deployment.yaml"), "kind", "DaemonSet"), "DaemonSet"),
    "no manifest": (_put(lambda it: it, "x.yaml", ["a"]), "not a manifest"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_each_way_of_breaking_it_is_found(what: str) -> None:
    files = manifests()
    break_, words = BROKEN[what]
    break_(files)
    assert any(words in line for line in said(files)), said(files)


def test_a_secret_by_reference_is_no_finding() -> None:
    """The weather server takes its key from a cluster's secret."""
    assert any("env" in one for one in pod(manifests(SERVER))["containers"])


def test_yaml_that_says_two_things_is_refused() -> None:
    files = {name: yaml.safe_dump(data).encode() for name, data in manifests().items()}
    for text in (
        b"kind: Service\nkind: Role\n",
        b"a: &a [1]\nb: *a\n",
        b"kind: Service\n---\nkind: ClusterRole\n",
        b"{",
    ):
        assert any("plain YAML" in one.what for one in lint(files | {"service.yaml": text})), text


def test_a_digest_is_a_version() -> None:
    files = manifests()
    files["kustomization.yaml"]["images"] = [{"name": "content-team", "digest": "sha256:" + "a" * 64}]
    assert said(files) == []


# ---------------------------------------------------------------------- whatever is taken away


def _leaves(data: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(leaf for key, value in inner for leaf in _leaves(value, (*path, key)))]


ALL = [(name, path) for name, data in manifests().items() for path in _leaves(data)]
odd = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.lists(st.integers(), max_size=2)
    | st.just({"a": 1})
)


@settings(deadline=None)
@given(st.sampled_from(ALL), odd)
def test_no_manifest_whatever_breaks_the_linter(place: tuple[str, tuple[str | int, ...]], value: Any) -> None:
    files = copy.deepcopy(manifests())
    name, path = place
    target: Any = files
    for step in (name, *path)[:-1]:
        target = target[step]
    target[(name, *path)[-1]] = value
    findings = said(files)
    # It comes to an end, with sentences for people; and what is no manifest any more is never said to be well.
    assert all(one.strip() and "Traceback" not in one for one in findings)
    assert findings or path or isinstance(value, dict)


#: What may be missing without anybody being worse off: probes' pauses, labels that nothing selects by, fields with a safe default.
HARMLESS = """
periodSeconds failureThreshold startupProbe readinessProbe livenessProbe path httpGet port protocol replicas strategy type
enableServiceLinks runAsUser runAsGroup fsGroup readOnlyRootFilesystem app.kubernetes.io/part-of labels apiVersion mountPath readOnly
volumeMounts volumes secretName requests cpu memory metadata name namespaceSelector podSelector matchLabels targetPort
kubernetes.io/metadata.name app.kubernetes.io/name automountServiceAccountToken k8s-app ingress egress
"""


def test_whatever_else_is_taken_away_is_missed() -> None:
    """Each field of the rendered manifests but the harmless ones, removed by itself, is a finding."""
    missed: list[str] = []
    for name, path in ALL:
        if not path or isinstance(path[-1], int) or path[-1] in HARMLESS.split():
            continue
        files = copy.deepcopy(manifests())
        target: Any = files[name]
        for step in path[:-1]:
            target = target[step]
        del target[path[-1]]
        if not said(files):
            missed.append(f"{name}: {'.'.join(map(str, path))}")
    assert missed == []
