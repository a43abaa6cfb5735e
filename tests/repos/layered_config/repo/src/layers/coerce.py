"""Strings to values of the type that the default has."""

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off"}


class CoercionError(ValueError):
    pass


def coerce(text, like):
    """A string as the type of `like`; what is no string is left alone."""
    if not isinstance(text, str) or like is None or isinstance(like, str):
        return text
    if isinstance(like, bool):
        word = text.strip().lower()
        if word in TRUE:
            return True
        if word in FALSE:
            return False
        raise CoercionError(f"not a truth value: {text!r}")
    if isinstance(like, (int, float)):
        try:
            return type(like)(text)
        except ValueError:
            raise CoercionError(f"not a number: {text!r}") from None
    if isinstance(like, list):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text
