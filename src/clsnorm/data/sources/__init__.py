"""Where rows come from: files, an installed package, the Hugging Face hub."""
