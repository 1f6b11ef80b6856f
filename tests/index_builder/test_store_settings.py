"""Where the vectors are kept, and what no manifest may hold."""

from pathlib import Path

import pytest

from index_builder.store_settings import StoreSettings
from semiparametric.errors import InputError


def test_the_vectors_are_kept_in_faiss_files_unless_told_otherwise() -> None:
    assert StoreSettings.resolve({}).store == "faiss"


def test_a_local_database_is_named_by_its_whole_path_so_that_a_rebuild_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert StoreSettings.resolve({"milvus_uri": "vectors.db"}).milvus_uri == str(tmp_path / "vectors.db")


@pytest.mark.parametrize("uri", ["http://milvus:19530", "https://milvus.example.org"])
def test_a_server_is_named_by_its_address(uri: str) -> None:
    assert StoreSettings.resolve({"store": "milvus", "milvus_uri": uri}).milvus_uri == uri


@pytest.mark.parametrize("uri", ["http://root:word@milvus:19530", "https://token@milvus", "http://milvus/?token=word"])
def test_refuses_a_uri_with_a_secret_since_manifests_name_it(uri: str) -> None:
    with pytest.raises(InputError, match="put the token into COSUP_MILVUS_TOKEN"):
        StoreSettings.resolve({"milvus_uri": uri})


@pytest.mark.parametrize("uri", ["milvus:19530", "vectors", "ftp://milvus", "http://", ""])
def test_refuses_what_is_neither_an_address_nor_a_local_database(uri: str) -> None:
    with pytest.raises(InputError, match=r"neither http\(s\)://host:port nor a local file that ends in .db"):
        StoreSettings.resolve({"milvus_uri": uri})
