"""Detectability: lesions that are planted in one source alone, and a model observer that looks for them."""
