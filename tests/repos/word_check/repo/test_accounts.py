from accounts import Accounts, WeakPhrase
from phrases import is_allowed, is_banned, strength, words
from wordlist import load


def test_words():
    assert words("Red-Fox, blue_sky!") == ["red", "fox", "blue", "sky"]


def test_banned():
    assert is_banned("secret")
    assert is_banned("s3cr3t")
    assert not is_banned("fox")


def test_allowed():
    assert is_allowed("fox")
    assert not is_allowed("secret fox")
    assert not is_allowed("  ")


def test_strength():
    assert strength("a") == 0
    assert strength("one two three 4 five six") == 3


def test_register():
    accounts = Accounts()
    accounts.register("ann", "blue fox runs far away")
    assert accounts.verify("ann", "blue fox runs far away")
    assert not accounts.verify("ann", "red fox")
    assert not accounts.verify("bob", "red fox")
    for bad in ("letmein now please ok", "fox"):
        try:
            accounts.register("bob", bad)
        except WeakPhrase:
            pass
        else:
            assert False, bad


def test_load():
    assert load(["# head", "Alpha # x", "", "beta"]) == {"alpha", "beta"}
