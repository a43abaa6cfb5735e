"""Whether code behaves as in its tests where nothing says that it is tested, in each language."""
