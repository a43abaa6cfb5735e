"""Scripts of a package.json that stand for commands without end."""

from __future__ import annotations

import time

import pytest

from agent.testing.npm_scripts import script_of_tests


@pytest.mark.parametrize("last", ["mocha", "&&", "node " * 2_000])
def test_scripts_that_call_each_other_many_times_take_no_time(last: str) -> None:
    chain = zip(("test", "a", "b", "c"), ("a", "b", "c", "d"), strict=True)
    scripts = {name: " && ".join([f"npm run {called}"] * 100) for name, called in chain}
    begun = time.process_time()
    script_of_tests({**scripts, "d": last})
    assert time.process_time() - begun < 2
