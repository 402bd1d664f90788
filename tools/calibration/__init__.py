"""Coverage and error rates of the report's intervals and tests."""
