"""Real data, which the project does not ship: `../shared/data`, or the folder named by `EPIATTN_SHARED`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("EPIATTN_SHARED", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture(scope="session")
def read_real():
    """Read one of the real files; skips where they are absent (in CI they are present)."""
    import mudata

    def read(name: str):
        path = SHARED / f"{name}.h5mu"
        if not path.exists():
            pytest.skip(f"the real data {path.name} is not at {SHARED} (set EPIATTN_SHARED)")
        return mudata.read_h5mu(path)

    return read
