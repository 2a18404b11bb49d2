"""The company as the command line sees it: its office, over HTTP, with the operator's token from the home."""

from __future__ import annotations

from typing import Any

import httpx

from bootstrap.home import Home

#: A message may pass several models before its answer is there.
ANSWER_TIMEOUT_S = 900.0


class CompanyError(RuntimeError):
    """What went wrong, as one sentence with the fix."""


class Company:
    """A running company. Raises `CompanyError` for everything that does not end well."""

    def __init__(self, home: Home) -> None:
        kernel = home.kernel()
        if kernel is None:
            raise CompanyError(f"no company runs in {home.path}: start it with ./elf up")
        self.address = f"http://127.0.0.1:{kernel['port']}"
        self._client = httpx.Client(
            base_url=f"{self.address}/api",
            headers={"Authorization": f"Bearer {home.key('operator')}"},
            timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=5.0),
            # The company is on this machine; a proxy of the environment has no part in it.
            trust_env=False,
        )

    def get(self, path: str, **query: Any) -> Any:
        return self._asked("GET", path, params=query)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._asked("POST", path, json=body or {})

    def close(self) -> None:
        self._client.close()

    def _asked(self, method: str, path: str, **given: Any) -> Any:
        try:
            response = self._client.request(method, path, **given)
        except httpx.TimeoutException as error:
            raise CompanyError("the company did not answer in time; ./elf status shows how it is") from error
        except httpx.HTTPError as error:
            raise CompanyError(f"the company cannot be reached at {self.address} ({error}); try ./elf up") from error
        try:
            body = response.json()
        except ValueError as error:
            raise CompanyError(
                f"the company answered {response.status_code} without saying why; see its log"
            ) from error
        if response.is_success:
            return body
        raise CompanyError(str(body.get("error") or body.get("detail") or body))
