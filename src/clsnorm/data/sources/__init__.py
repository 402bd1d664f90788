"""Where rows come from: published files, an installed package, the hub."""
