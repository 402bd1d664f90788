"""Makes file operations of real commands fail, one at a time; see docs/reliability.md."""
