"""The files of a run: paths, lock, results, series, events, provenance."""
