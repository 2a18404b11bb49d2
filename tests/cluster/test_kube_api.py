"""Asking the API server: by TLS, by label, page by page; and what each way of getting no answer is called."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Generator
from pathlib import Path

import pytest
from starlette.responses import RedirectResponse

from mcp_servers.cluster.kube_access import Access, of_pod
from mcp_servers.cluster.kube_api import PAGE, KubeApi, KubeFailed
from mcp_servers.gateway.discovery import LABEL
from tests.doubles.kube import ACCOUNT, TOKEN, Kube, authority, kube, service, text
from tests.doubles.serving import Tls, free_port

pytestmark = pytest.mark.rows("F37")


@pytest.fixture
def cluster() -> Generator[Kube]:
    with kube() as found:
        yield found


def api(cluster: Kube, seconds: float = 5.0) -> KubeApi:
    return KubeApi(lambda: Access(cluster.url, token=TOKEN), seconds)


async def names(api: KubeApi, namespace: str = "tools", most: int = 1000) -> list[str]:
    return [it["metadata"]["name"] for it in await api.services(namespace, LABEL, most)]


async def failure(api: KubeApi, namespace: str = "tools") -> KubeFailed:
    with pytest.raises(KubeFailed) as failed:
        await api.services(namespace, LABEL, 100)
    return failed.value


async def test_only_services_of_the_namespace_with_the_label_are_listed(cluster: Kube) -> None:
    cluster.apply(service("search"))
    cluster.apply(service("elsewhere"), namespace="elf-servers")
    cluster.apply({"metadata": {"name": "other", "labels": {"app": "x"}}, "spec": {}})
    assert await names(api(cluster)) == ["search"]
    assert cluster.asked == [{"labelSelector": LABEL, "limit": str(PAGE)}]
    cluster.delete("search")
    assert await names(api(cluster)) == []


async def test_a_long_list_is_read_page_by_page_and_no_further_than_asked(cluster: Kube) -> None:
    cluster.page = 10
    for number in range(35):
        cluster.apply(service(f"s{number:02}"))
    assert len(await names(api(cluster))) == 35 and len(cluster.asked) == 4
    assert len(await names(api(cluster), most=15)) == 20


async def test_a_list_that_expires_between_its_pages_is_begun_again_once(cluster: Kube) -> None:
    cluster.page, cluster.expire = 2, 1
    for number in range(5):
        cluster.apply(service(f"s{number}"))
    assert len(await names(api(cluster))) == 5
    cluster.expire = 9
    assert (await failure(api(cluster))).word == "410"


async def test_a_token_that_was_renewed_in_its_file_is_used_at_the_next_look(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    with kube(ca.sign("server", "127.0.0.1")) as cluster:
        cluster.apply(service("search"))
        (tmp_path / "token").write_text(TOKEN)
        host, port = cluster.url.removeprefix("https://").split(":")
        found = KubeApi(lambda: of_pod(host, port, tmp_path), 5)
        assert await names(found) == ["search"]
        cluster.tokens = {"renewed"}
        refused = await failure(found)
        assert refused.word == "401" and TOKEN not in str(refused)
        (tmp_path / "token").write_text("renewed\n")
        assert await names(found) == ["search"]


async def test_a_client_certificate_is_shown_to_a_server_that_wants_one(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    server, client = ca.sign("server", "127.0.0.1"), ca.sign("client", "client")
    with kube(Tls(server.certificate, server.key, clients=tmp_path / "ca.crt")) as cluster:
        cluster.anonymous = True
        cluster.apply(service("search"))
        shown = Access(
            cluster.url,
            ca=(tmp_path / "ca.crt").read_text(),
            client=(client.certificate.read_text(), client.key.read_text()),
        )
        assert await names(KubeApi(lambda: shown, 5)) == ["search"]
        bare = dataclasses.replace(shown, client=None)
        assert (await failure(KubeApi(lambda: bare, 5))).word in {"tls", "unreachable"}


async def test_a_certificate_that_the_ca_did_not_sign_for_this_name_gets_no_token(tmp_path: Path) -> None:
    ca, other = authority(tmp_path / "ca"), authority(tmp_path / "other")
    pem = (ca.folder / "ca.crt").read_text()
    for signed in (other.sign("server", "127.0.0.1"), ca.sign("server", "elsewhere.example")):
        with kube(signed) as cluster:
            access = Access(cluster.url, ca=pem, token=TOKEN)
            assert (await failure(KubeApi(lambda access=access: access, 5))).word == "tls"
            assert cluster.asked == []
    with kube(ca.sign("server", "kubernetes")) as cluster:
        cluster.apply(service("search"))
        named = Access(cluster.url, ca=pem, token=TOKEN, tls_name="kubernetes")
        assert await names(KubeApi(lambda: named, 5)) == ["search"]


async def test_a_refusal_names_the_rule_that_is_missing_and_repeats_the_server_s_words(cluster: Kube) -> None:
    refused = await failure(api(cluster), "secret-place")
    assert refused.word == "403"
    for part in ("resources [services]", "verbs [list]", "in secret-place", "docs/tool-servers.md", ACCOUNT):
        assert part in str(refused)


async def test_each_way_of_getting_no_answer_has_its_word(cluster: Kube) -> None:
    cluster.status = 500
    assert (await failure(api(cluster))).word == "500"
    cluster.status = 429
    assert (await failure(api(cluster))).word == "429"
    cluster.status, cluster.answer = None, text("<html>Sign in</html>")
    assert (await failure(api(cluster))).word == "not kubernetes"
    cluster.answer = text('{"kind": "ServiceList", "items": "none"}')
    assert (await failure(api(cluster))).word == "not kubernetes"
    cluster.answer = text("x" * 8_000_001)
    assert (await failure(api(cluster))).word == "too large"
    cluster.answer = RedirectResponse("http://169.254.169.254/latest")
    assert (await failure(api(cluster))).word == "307"
    cluster.answer, cluster.seconds = None, 30
    assert (await failure(api(cluster, seconds=0.2))).word == "slow"
    nobody = f"http://127.0.0.1:{free_port()}"
    assert (await failure(KubeApi(lambda: Access(nobody), 5))).word == "unreachable"


async def test_rubbish_words_of_the_server_are_cut_to_what_can_be_shown(cluster: Kube) -> None:
    cluster.answer = text('{"message": "\\u001b[31m' + "x" * 5000 + '"}', 403)
    refused = str(await failure(api(cluster)))
    assert "\x1b" not in refused and len(refused) < 700


async def test_the_loop_goes_on_while_a_slow_server_is_waited_for(cluster: Kube) -> None:
    cluster.seconds = 0.5
    asking = asyncio.create_task(failure_or_none(api(cluster, seconds=0.3)))
    ticks = 0
    while not asking.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert ticks >= 5 and (await asking) == "slow"


async def failure_or_none(api: KubeApi) -> str | None:
    try:
        await api.services("tools", LABEL, 1)
    except KubeFailed as failed:
        return failed.word
    return None
