"""From a verified delivery to a run or an answer."""
