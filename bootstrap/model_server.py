"""Which model an OpenAI-compatible server of one's own serves, when the settings name none."""

from __future__ import annotations

from dataclasses import replace

import httpx

from bootstrap.settings import BadSettings, Settings

_TIMEOUT_S = 10.0


class ModelServerUnusable(BadSettings):
    """The server at ELF_MODEL_BASE_URL cannot say what it serves; the message names the fix."""


def with_model_name(settings: Settings) -> Settings:
    """The settings with the name of the model at `model_base_url`: the one given, else the first the server lists."""
    if settings.model_base_url is None or settings.model_name is not None:
        return settings
    headers = {"Authorization": f"Bearer {settings.model_api_key}"} if settings.model_api_key else {}
    where = f"the model server at ELF_MODEL_BASE_URL={settings.model_base_url}"
    try:
        response = httpx.get(f"{settings.model_base_url}/models", headers=headers, timeout=_TIMEOUT_S)
        response.raise_for_status()
        name = response.json()["data"][0]["id"]
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        raise ModelServerUnusable(
            f"{where} does not say which models it has ({type(error).__name__}: {error}); start it, or name one with ELF_MODEL"
        ) from error
    return replace(settings, model_name=str(name))
