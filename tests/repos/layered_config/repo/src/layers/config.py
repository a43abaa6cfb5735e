"""Settings in layers: defaults, then a file, then the environment."""

from layers.coerce import coerce
from layers.sources import from_env


class Config:
    def __init__(self, defaults, file=None, env=None):
        self.defaults = dict(defaults)
        self.file = dict(file or {})
        self.env = from_env(env or {})
        self._values = {}
        self.reload()

    def reload(self):
        """Put the layers together, the later over the earlier."""
        values = dict(self.defaults)
        for layer in (self.file, self.env):
            for key, value in layer.items():
                if key not in values or values[key] == self.defaults.get(key):
                    values[key] = coerce(value, self.defaults.get(key))
        self._values = values

    def get(self, key, default=None):
        return self._values.get(key, default)

    def set(self, key, value):
        self.file[key] = value
        self.reload()

    def origin(self, key):
        """Which layer a setting comes from."""
        for name in ("env", "file", "defaults"):
            if key in getattr(self, name):
                return name
        return None

    def as_dict(self):
        return dict(sorted(self._values.items()))
