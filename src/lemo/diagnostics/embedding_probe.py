"""Probe of the sentence model that the settings name."""

from importlib.util import find_spec
from urllib.parse import urlsplit

from lemo.diagnostics.probing import probe_at
from lemo.diagnostics.reachability import Address
from lemo.diagnostics.report import Finding
from lemo.domain.errors import LemoError
from lemo.settings import Settings
from lemo.stores.vectors.embedders import model_folder, onnx_file


def probe_embedding(settings: Settings) -> Finding:
    """Checks the model's folder and packages, or requests a vector from its endpoint."""
    if settings.embedding_url:
        return _probe_endpoint(settings)
    if not settings.embedding_model:
        detail = f"TF-IDF and SVD, learnt from the items: {settings.embedding_dimensions} numbers each"
        return Finding(state="ok", version="TF-IDF", detail=detail)
    try:
        folder = model_folder(settings)
    except LemoError as error:
        return Finding(state="missing", detail=error.message, hint=error.hint)
    onnx = onnx_file(folder) is not None
    wanted = ("onnxruntime", "tokenizers") if onnx else ("sentence_transformers",)
    missing = [name for name in wanted if find_spec(name) is None]
    if missing:
        package = "'lemo-recommender[embeddings]'" if onnx else "sentence-transformers"
        detail = f"The model {folder} needs {' and '.join(missing)}, which is not installed."
        return Finding(state="missing", detail=detail, hint=f"pip install {package}")
    if onnx and not (folder / "tokenizer.json").is_file():
        hint = "Copy it there from where the model comes from."
        return Finding(state="missing", detail=f"{folder} holds no tokenizer.json.", hint=hint)
    return Finding(state="ok", version="ONNX" if onnx else "sentence-transformers", detail=str(folder))


def _probe_endpoint(settings: Settings) -> Finding:
    url = settings.embedding_url.get_secret_value() if settings.embedding_url else ""
    address = Address(
        name="embedding endpoint",
        url=url,
        variable="LEMO_EMBEDDING_URL",
        schemes=("http", "https"),
        default_port=443 if url.startswith("https") else 80,
        embedded=False,
        start=f"curl {urlsplit(url).scheme}://{urlsplit(url).hostname}:{urlsplit(url).port or ''}".rstrip(":"),
    )

    def probe() -> Finding:
        from lemo.stores.vectors.embedders.http import HttpEmbedder

        embedder = HttpEmbedder(settings.model_copy(update={"embedding_timeout_seconds": 3.0}), tries=1)
        try:
            dimensions = embedder.embed(["lemo"]).shape[1]
        except LemoError as error:
            return Finding(state="missing", detail=error.message, hint=error.hint)
        finally:
            embedder.close()
        return Finding(state="ok", version=settings.embedding_model, detail=f"{dimensions} numbers each")

    return probe_at(address, probe)
