"""A backend with a kernel of sequences, whatever others have."""

from collections.abc import Iterator

import pytest
import separate

import multirec as mr


@pytest.fixture(scope="session", autouse=True)
def _registered() -> Iterator[None]:
    mr.register_backend(separate.info)
    yield
    mr.unregister_backend("separate")
