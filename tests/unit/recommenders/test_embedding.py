import numpy as np
import pytest

from lemo.recommenders.embedding import TextEmbedding, tokens

TEXTS = [
    "猫咪视频 搞笑",
    "小猫咪的日常生活",
    "篮球比赛集锦",
    "精彩篮球扣篮",
    "NBA basketball highlights",
    "basketball dunks",
    "a cat and its kittens",
    "the funny cats",
]


@pytest.fixture(scope="module")
def model() -> TextEmbedding:
    return TextEmbedding.fit(TEXTS, 6)


def nearest(model: TextEmbedding, text: str) -> str:
    return TEXTS[int(np.argmax(model.transform(TEXTS) @ model.transform([text])[0]))]


@pytest.mark.parametrize(
    ("text", "places"),
    [("猫咪", (0, 1)), ("篮球", (2, 3)), ("basketballs", (4, 5)), ("cat", (6, 7))],
)
def test_alike_texts_are_near_in_any_script(model: TextEmbedding, text: str, places: tuple[int, int]) -> None:
    assert nearest(model, text) in {TEXTS[place] for place in places}


def test_vectors_are_of_length_one_or_zero(model: TextEmbedding) -> None:
    vectors = model.transform([*TEXTS, "", "完全不同", "qqqq"])
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1] * len(TEXTS) + [0] * 3, abs=1e-5)


def test_the_same_seed_gives_the_same_vectors(model: TextEmbedding) -> None:
    assert np.array_equal(TextEmbedding.fit(TEXTS, 6).transform(TEXTS), model.transform(TEXTS))


def test_a_text_has_one_vector_whatever_stands_beside_it(model: TextEmbedding) -> None:
    alone = np.vstack([model.transform([text]) for text in TEXTS])
    assert alone == pytest.approx(model.transform(TEXTS), abs=1e-6)


def test_arrays_hold_the_whole_model(model: TextEmbedding) -> None:
    arrays = model.to_arrays()
    for array in arrays.values():
        array.flags.writeable = False
    assert np.array_equal(TextEmbedding.from_arrays(arrays).transform(TEXTS), model.transform(TEXTS))


@pytest.mark.parametrize("texts", [[], [""], ["a"], ["猫"], ["a b", "a b"], ["", "", "x"], ["!!!"], ["\ud800 \x00"]])
def test_degenerate_corpora(texts: list[str]) -> None:
    model = TextEmbedding.fit(texts, 8)
    vectors = model.transform([*texts, "a", "猫"])
    assert model.dimensions == 8
    assert vectors.shape == (len(texts) + 2, 8)
    assert np.isfinite(vectors).all()
    assert model.transform([]).shape == (0, 8)


def test_rare_words_weigh_more_than_common_ones() -> None:
    texts = [f"common {rare}" for rare in ("qqqq", "zzzz", "xxxx", "vvvv", "jjjj", "kkkk")]
    model = TextEmbedding.fit(texts, 6)
    assert (model.transform(texts) @ model.transform(["common qqqq"])[0])[1:].max() < 0.25
    assert int(np.argmax(model.transform(texts) @ model.transform(["common qqqq common common"])[0])) == 0


def test_tokens() -> None:
    assert list(tokens("猫咪")) == ["猫", "咪", "猫咪"]
    assert list(tokens("Ab")) == ["=ab", " a", "ab", "b ", " ab", "ab ", " ab "]
    assert "篮球" in set(tokens("NBA篮球"))
    assert len(list(tokens("猫" * 100_000))) < 20_000
