import pytest
from phrases import is_allowed


@pytest.mark.parametrize("phrase", ["a b secret", "secret", "a s3cret b", "x y z admin w"])
def test_refused(phrase):
    assert is_allowed(phrase) is False


@pytest.mark.parametrize("phrase", ["a", "blue fox", "one two three four"])
def test_allowed(phrase):
    assert is_allowed(phrase) is True


def test_own_list():
    assert is_allowed("secret fox", banned={"fox"}) is False
    assert is_allowed("secret", banned={"fox"}) is True
