"""The version that should answer, when it is refused and goes."""

import asyncio
from pathlib import Path

from crackgate.contracts.engine_choice import EngineChoice
from crackgate.releases import State, reject
from serving.service.metrics import Metrics
from serving.service.model_versions import ModelVersions, Source
from tests.helpers.pushing import stage, write_model


def test_a_refused_version_that_was_rejected_is_refused_no_more(tmp_path: Path) -> None:
    number = stage(write_model(tmp_path / "model"), tmp_path / "serving")
    versions = ModelVersions(
        Source(tmp_path / "serving", is_one_version=False, state=State.STAGED), EngineChoice.FASTEST, 0.02, Metrics()
    )

    async def refuse_and_reject() -> None:
        watch = asyncio.create_task(versions.run())
        async with asyncio.timeout(60):
            while versions.refused is None:
                await asyncio.sleep(0.02)
            assert [status.number for status in versions.statuses()] == [number]
            reject(tmp_path / "serving", number, "me", "it cannot be loaded")
            while versions.refused is not None:
                await asyncio.sleep(0.02)
        watch.cancel()

    asyncio.run(refuse_and_reject())
    assert versions.statuses() == []
