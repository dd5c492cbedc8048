"""Lesions planted in one source alone, and how well a model observer finds them in what each method makes of them."""
