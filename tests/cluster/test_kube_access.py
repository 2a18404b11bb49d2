"""How the API server is reached: what a kubeconfig or a pod's account may say, and what is refused with what to do instead."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcp_servers.cluster.kube_access import BadAccess, of_kubeconfig, of_pod
from tests.doubles.kube import Authority, authority

pytestmark = pytest.mark.rows("F37")
SERVER = "https://10.0.0.1:6443"


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return authority(tmp_path)


def kubeconfig(folder: Path, cluster: Mapping[str, Any] | None = None, user: Mapping[str, Any] | None = None) -> Path:
    """One context `here`, the current one, and a second one `there`."""
    path = folder / "config"
    contexts = [
        {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "tools"}},
        {"name": "there", "context": {"cluster": "d"}},
    ]
    clusters = [
        {"name": "c", "cluster": {"server": SERVER, **(cluster or {})}},
        {"name": "d", "cluster": {"server": "http://127.0.0.1:8001/"}},
    ]
    users = [{"name": "u", "user": dict(user or {"token": "t0ken"})}]
    whole = {"apiVersion": "v1", "kind": "Config", "current-context": "here"}
    path.write_text(yaml.safe_dump({**whole, "contexts": contexts, "clusters": clusters, "users": users}))
    return path


def test_a_context_of_a_kubeconfig_is_read_with_what_its_files_hold_now(tmp_path: Path, ca: Authority) -> None:
    (tmp_path / "token").write_text("first\n")
    path = kubeconfig(tmp_path, {"certificate-authority": "ca.crt"}, {"tokenFile": "token", "token": "stale"})
    found = of_kubeconfig(path)
    assert (found.server, found.token, found.ca) == (SERVER, "first", (tmp_path / "ca.crt").read_text())
    (tmp_path / "token").write_text("second")
    assert of_kubeconfig(path).token == "second"
    assert found.tls() is not None and "first" not in repr(found)
    proxy = of_kubeconfig(path, "there")
    assert (proxy.server, proxy.token, proxy.tls()) == ("http://127.0.0.1:8001", None, None)


def test_certificates_may_stand_in_the_file_itself(tmp_path: Path, ca: Authority) -> None:
    client = ca.sign("client", "client")

    def data(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    cluster = {"certificate-authority-data": data(tmp_path / "ca.crt"), "tls-server-name": "kubernetes"}
    user = {"client-certificate-data": data(client.certificate), "client-key-data": data(client.key)}
    found = of_kubeconfig(kubeconfig(tmp_path, cluster, user))
    assert found.tls() is not None and found.tls_name == "kubernetes" and found.token is None
    assert "PRIVATE KEY" not in repr(found)


@pytest.mark.parametrize(
    ("cluster", "user", "said"),
    [
        ({}, {"exec": {"command": "aws", "apiVersion": "client.authentication.k8s.io/v1"}}, "kubectl proxy"),
        ({}, {"auth-provider": {"name": "gcp"}}, "service account of its own"),
        ({}, {"username": "admin", "password": "p"}, "tokenFile"),
        ({}, {"token": "t", "as": "system:admin"}, "stands for another"),
        ({}, {"token": "t", "as-groups": ["system:masters"]}, "stands for others"),
        ({"insecure-skip-tls-verify": True}, None, "certificate-authority"),
        ({"proxy-url": "http://proxy:3128"}, None, "proxy-url"),
        ({"server": "http://10.0.0.1:8080"}, None, "https"),
        ({"server": "https://user:pass@10.0.0.1"}, None, "https"),
        ({"server": "https://10.0.0.1:notaport"}, None, "https"),
        ({"certificate-authority": "missing.crt"}, None, "missing.crt cannot be read"),
        ({"certificate-authority-data": "###"}, None, "base64"),
        ({}, {"token": "two words"}, "no token"),
        ({}, {"token": "line\r\nX-Evil: 1"}, "no token"),
        ({}, {"tokenFile": "gone"}, "gone cannot be read"),
        ({}, {"client-certificate": "config"}, "needs both"),
    ],
)
def test_what_is_refused_names_what_to_do(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any] | None, said: str
) -> None:
    with pytest.raises(BadAccess, match=said) as refused:
        of_kubeconfig(kubeconfig(tmp_path, cluster, user))
    assert "line\r\nX" not in str(refused.value) and "pass@" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("current-context: none", "has no context 'none'"),
        ("contexts: []", "no current-context"),
        ("[]", "no current-context"),
        ("a: &x [1]\nb: *x", "config: line"),
        ("current-context: x\ncontexts: [{name: x, context: {cluster: gone}}]", "has no cluster 'gone'"),
    ],
)
def test_a_file_that_is_no_kubeconfig_says_so(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(BadAccess, match=said):
        of_kubeconfig(path)


def test_certificates_that_are_none_are_named_without_their_text(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n")
    with pytest.raises(BadAccess, match="certificates cannot be used"):
        of_kubeconfig(kubeconfig(tmp_path, {"certificate-authority": "ca.crt"})).tls()


def test_a_pod_uses_its_account_and_says_when_it_has_none(tmp_path: Path, ca: Authority) -> None:
    (tmp_path / "token").write_text("of-the-pod\n")
    found = of_pod("10.96.0.1", "443", tmp_path)
    assert (found.server, found.token) == ("https://10.96.0.1:443", "of-the-pod") and found.tls() is not None
    assert of_pod("fd00::1", "443", tmp_path).server == "https://[fd00::1]:443"
    (tmp_path / "token").unlink()
    with pytest.raises(BadAccess, match="token cannot be read"):
        of_pod("10.96.0.1", "443", tmp_path)
