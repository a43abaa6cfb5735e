"""Where settings come from."""


def from_env(environ, prefix="APP_"):
    """Settings out of environment variables: `APP_DB_HOST` is `db_host`."""
    found = {}
    for name, value in environ.items():
        if name.startswith(prefix):
            found[name[len(prefix) :].lower()] = value
    return found


def from_lines(text):
    """Settings out of `key = value` lines; `#` begins a comment."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split("#", 1)[0].strip()
        if not line:
            continue
        key, sign, value = line.partition("=")
        if not sign:
            raise ValueError(f"line {number}: no '='")
        found[key.strip().lower()] = value.strip()
    return found
