"""Where the vectors of an index are kept."""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from semiparametric.settings import Settings


class StoreSettings(Settings):
    """Files beside the passages, or a vector database."""

    store: Literal["faiss", "milvus"] = Field(
        default="faiss", description="What holds the vectors: FAISS files in the version's folder, or Milvus."
    )
    milvus_uri: str | None = Field(
        default=None,
        description="Where Milvus is, as http://host:19530, or a local file, as vectors.db; "
        "milvus.db in the index's folder if none. A token is read from COSUP_MILVUS_TOKEN only.",
    )

    @field_validator("milvus_uri")
    @classmethod
    def _uri_is_plain(cls, uri: str | None) -> str | None:
        if uri is None:
            return None
        parts = urlsplit(uri)
        if parts.username or parts.password or parts.query:  # the manifest names the URI, and it is no place for these
            raise ValueError("a URI with a user, password or query; put the token into COSUP_MILVUS_TOKEN")
        if parts.scheme in {"http", "https"} and parts.hostname:
            return uri
        if parts.scheme == "" and uri.endswith(".db"):
            return str(Path(uri).absolute())  # as a rebuild from another folder must find it
        raise ValueError("neither http(s)://host:port nor a local file that ends in .db")
