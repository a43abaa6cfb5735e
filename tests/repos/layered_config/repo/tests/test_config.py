import pytest

from layers.coerce import CoercionError, coerce
from layers.config import Config
from layers.sources import from_env, from_lines


def test_file_over_defaults():
    config = Config({"port": 80, "host": "a"}, file={"port": "8080"})
    assert config.as_dict() == {"host": "a", "port": 8080}


def test_env_over_defaults():
    config = Config({"debug": False}, env={"APP_DEBUG": "yes", "HOME": "/root"})
    assert config.get("debug") is True
    assert config.get("home") is None


def test_set():
    config = Config({"port": 80})
    config.set("port", 81)
    assert config.get("port") == 81
    assert config.origin("port") == "file"


def test_coerce():
    assert coerce("a, b,", []) == ["a", "b"]
    assert coerce("1.5", 0.0) == 1.5
    assert coerce("x", None) == "x"
    with pytest.raises(CoercionError):
        coerce("maybe", True)


def test_sources():
    assert from_env({"APP_DB_HOST": "x"}) == {"db_host": "x"}
    assert from_lines("A = 1 # one\n\nb=2") == {"a": "1", "b": "2"}
    with pytest.raises(ValueError):
        from_lines("nothing")
