"""The life of a run: build, calibrate, train, evaluate, reuse, load. The only package that knows all parts."""
