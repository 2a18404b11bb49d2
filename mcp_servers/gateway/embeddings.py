"""POST /v1/embeddings: what is asked."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mcp_servers.gateway.lexical import Texts

MAX_TEXTS = 2048
Token = Annotated[int, Field(ge=0)]


class EmbeddingRequest(BaseModel):
    """The body of POST /v1/embeddings. A field that is not here is refused rather than ignored."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[str, StringConstraints(min_length=1, max_length=120)]
    #: A text, several, or texts that the client cut into tokens already (LangChain's own does).
    input: (
        Annotated[str, StringConstraints(min_length=1)]
        | Annotated[list[Annotated[str, StringConstraints(min_length=1)]], Field(min_length=1, max_length=MAX_TEXTS)]
        | Annotated[list[Token], Field(min_length=1)]
        | Annotated[list[Annotated[list[Token], Field(min_length=1)]], Field(min_length=1, max_length=MAX_TEXTS)]
    )
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1, le=8192)] | None = None
    # Said by clients, of no consequence for the answer; who calls is known by the token.
    user: str | None = None

    @property
    def texts(self) -> Texts:
        given: Any = self.input
        return [given] if isinstance(given, str) or isinstance(given[0], int) else given

    def most_tokens_in(self, body_bytes: int) -> int:
        """No fewer tokens than any provider will count: a token has at least one byte, and is written with one or more."""
        return body_bytes + 16 * len(self.texts)
