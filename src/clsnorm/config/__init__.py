"""From typed words to one checked, plain configuration; imports no torch."""
