"""`patchwright doctor --model` where several models are served in different places."""

from __future__ import annotations

from app.cli.doctor import check_model
from app.settings.schema import Settings
from tests.doubles.sglang.server import StandIn
from tests.doubles.sglang.serving import free_port, serving
from tests.integration.agent.models.test_doctor import SERVED, SUMS


async def test_every_profile_is_examined_at_its_own_servers_and_failures_are_named() -> None:
    small = StandIn(SUMS, SERVED["k2.5"])
    big = StandIn(SUMS, SERVED["k3"])
    async with serving(small.app) as small_url, serving(big.app) as big_url:
        settings = Settings(
            model="k2.5",
            model_url=(small_url,),
            repo_models=("k3", "k2.6"),
            model_servers={
                "k3": {"url": big_url},
                "k2.6": {"url": f"http://127.0.0.1:{free_port()}", "api_key": "hunter2"},
            },  # type: ignore[arg-type]
        )
        found = await check_model(settings)
        assert "no profile" not in found[-1].text
        assert not found[-1].ok
        assert found[-1].name == "models"
        assert found[-1].text == "k2.6 failed, see above; k2.5, k3 may work"
        failed = {f.name for f in found[:-1] if not f.ok}
        assert failed == {"model k2.6: answers"}
        assert {f.name for f in found} >= {"model k2.5: window", "model k3: window"}
        assert "hunter2" not in repr(found)
        only = await check_model(Settings(model_url=(small_url,), model="k2.5"))
        assert all(f.ok for f in only)
        assert "model window" in {f.name for f in only}
