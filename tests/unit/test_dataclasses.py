"""What holds for every dataclass of the product."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import lemo

ARRAYS = ("Array", "CSR", "ndarray", "csr_matrix", "pa.", "Blend", "SimilarItems", "Mapped", "Interactions")
"""What is in the annotation of a field that holds arrays, itself or within."""
OPTIONAL = ("confluent_kafka", "pymongo", "onnxruntime", "tokenizers")


def dataclasses_of_lemo() -> Iterator[type]:
    for module in pkgutil.walk_packages(lemo.__path__, "lemo."):
        try:
            found = vars(importlib.import_module(module.name)).values()
        except ModuleNotFoundError as error:
            if error.name not in OPTIONAL:
                raise
            continue
        yield from (each for each in found if isinstance(each, type) and each.__module__ == module.name)


HOLDERS = [
    each
    for each in dataclasses_of_lemo()
    if dataclasses.is_dataclass(each)
    and any(mark in str(field.type) for field in dataclasses.fields(each) for mark in ARRAYS)
]


def test_holders_of_arrays_are_found() -> None:
    names = {each.__name__ for each in HOLDERS}
    assert names >= {
        "Mapped",
        "ServingState",
        "SimilarItems",
        "LatestInteractions",
        "Interactions",
        "State",
        "RankingFeatures",
        "Snapshot",
    }


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: holder.__name__)
def test_a_dataclass_with_arrays_is_compared_by_identity(holder: type) -> None:
    # The generated comparison asks arrays for one truth value, which raises as soon as two are not the same object.
    assert not {"__eq__", "__hash__"} & vars(holder).keys(), f"{holder.__name__} needs @dataclass(eq=False)"
