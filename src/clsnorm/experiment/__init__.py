"""A run from start to end: build, calibrate, train, evaluate, reuse, load. The only package that knows all parts."""
