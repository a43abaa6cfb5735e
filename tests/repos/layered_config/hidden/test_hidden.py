from layers.config import Config


def test_later_layers_win():
    config = Config({"port": 80, "name": "x"}, file={"port": 8080, "name": "y"}, env={"APP_PORT": "9000"})
    assert config.as_dict() == {"port": 9000, "name": "y"}


def test_back_to_the_default():
    assert Config({"port": 80}, file={"port": 81}, env={"APP_PORT": "80"}).get("port") == 80


def test_unknown_keys():
    assert Config({}, file={"a": "1"}, env={"APP_A": "2"}).get("a") == "2"
    assert Config({}, file={"a": "1"}).get("a") == "1"
